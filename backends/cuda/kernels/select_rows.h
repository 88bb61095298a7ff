// Arguments of select_rows.cu. Host and device.
#pragma once
#include "cuda/common/kernel_args.h"

namespace kl::cuda {

inline constexpr uint32_t kSelectRowsThreads = 256;

struct SelectRowsArgs {
  const float* x;            // [T M]
  float* y;                  // [O M]
  const uint32_t* selected;  // [O] of the step
  RowCount outputs;
  uint32_t width;
};

}  // namespace kl::cuda
