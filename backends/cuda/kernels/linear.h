// Arguments of the linear kernels. Host and device.
#pragma once
#include "cuda/common/kernel_args.h"
#include "cuda/common/matrix.h"
#include "ir/op.h"

namespace kl::cuda {

inline constexpr uint32_t kLinearChains = 8;   // partial sums of a row (common/linear.cuh): the warps of a decode block
inline constexpr uint32_t kLinearRowRows = 8;  // linear_row: rows a block computes
inline constexpr uint32_t kLinearRowThreads = 256;

// Inputs rounded to 8 bits by quantize.cu: blocks of 32, padded with zeros to whole tiles.
struct Quantized {
  const int8_t* codes;  // [T][64 tiles]
  const float* scale;   // [T][2 tiles]
  const float* sum;     // [T][2 tiles] scale * float(sum of a block's codes)
};

struct LinearArgs {
  const float* x;  // [T K], or null:
  Quantized q;
  Matrix w, up;           // up: absent, or of the same format and shape
  float* y;               // [T N]
  const float* bias;      // [N] or null
  const float* residual;  // [T N] or null
  RowCount rows;
  Activation activation;
};

}  // namespace kl::cuda
