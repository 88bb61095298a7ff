// Arguments of pool.cu. Host and device.
#pragma once
#include "cuda/common/kernel_args.h"

namespace kl::cuda {

inline constexpr uint32_t kPoolThreads = 256;

struct PoolArgs {
  const float* x;  // [T M]
  float* y;        // [U count*M], or [U M] for a mean
  RowCount rows;   // U
  uint32_t width, count;
  bool mean;
};

}  // namespace kl::cuda
