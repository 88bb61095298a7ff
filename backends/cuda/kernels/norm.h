// Arguments of norm.cu. Host and device.
#pragma once
#include "cuda/common/kernel_args.h"
#include "cuda/kernels/quantize.h"

namespace kl::cuda {

inline constexpr uint32_t kNormThreads = 256;

struct NormArgs {
  const float* x;            // [R parts*W]
  float* y;                  // [R parts*W]
  const float* gain;         // [W] or null
  const float* bias;         // [W] or null
  const float* residual;     // [R parts*W] or null: added
  const uint32_t* selected;  // [R] of the step or null: row t of y is made of row selected[t] of x
  RowCount rows;
  uint32_t width;  // W
  float eps;
  bool layer;  // layer norm, else RMS
};

struct NormQuantizeArgs {
  NormArgs norm;  // RMS, one part, without bias and residual; W a multiple of 32; y is not written
  QuantizedRows to;
};

}  // namespace kl::cuda
