// Arguments of elementwise.cu. Host and device.
#pragma once
#include "cuda/common/kernel_args.h"
#include "ir/op.h"

namespace kl::cuda {

inline constexpr uint32_t kElementwiseThreads = 256;

struct ElementwiseArgs {
  const float* a;  // [R W]
  const float* b;  // [R W] or null
  float* y;        // [R W]
  RowCount rows;
  uint32_t width;
  Activation activation;
};

}  // namespace kl::cuda
