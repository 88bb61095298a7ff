// Arguments of the linear kernels. Host and device.
#pragma once
#include "cuda/common/kernel_args.h"
#include "cuda/common/matrix.h"
#include "ir/op.h"

namespace kl::cuda {

inline constexpr uint32_t kLinearChains = 8;   // partial sums of a row (common/linear.cuh): the warps of a decode block
inline constexpr uint32_t kLinearRowRows = 8;  // linear_row: rows a block computes
inline constexpr uint32_t kLinearRowThreads = 256;
inline constexpr uint32_t kLinearEightPanels = 2, kLinearEightThreads = kLinearEightPanels * kLinearRowThreads;  // linear_eight, at most
inline constexpr uint32_t kLinearFewRows = 64, kLinearFewThreads = 256;                                          // linear_few
inline constexpr uint32_t kLinearManyRows = 128, kLinearManyOutputs = 128,
                          kLinearManyThreads = 256;  // linear_many: a block's; with a second matrix half the outputs

inline constexpr uint32_t kLinearTileRows = 64, kLinearTileOutputs = 64, kLinearTileThreads = 256;  // linear_many_f32

// Inputs rounded to 8 bits by quantize.cu: blocks of 32, padded with zeros to whole tiles. A tile's 64 codes stand in the order in which lanes multiply them:
// [4 q][block][half][4] for weights 32 block + 16 half + 4 q + i, 16 bytes a lane (common/weights.cuh).
struct Quantized {
  const int8_t* codes;  // [T][64 tiles]
  const float* scale;   // [T][2 tiles]
  const float* sum;     // [T][2 tiles] scale * float(sum of a block's codes)
};

// Inputs rounded to 16 bits for tensor cores, padded likewise. A tile: [block][4 q][half][4], 16 bytes a lane and block.
struct Halves {
  const uint16_t* values;  // [T][64 tiles]
  const float* sum;        // [T][2 tiles] of a block
};

struct LinearArgs {
  const float* x;  // [T K], or null: q, or h
  Quantized q;
  Halves h;
  Matrix w, up;           // up: absent, or of the same format and shape
  float* y;               // [T N]
  const float* bias;      // [N] or null
  const float* residual;  // [T N] or null
  RowCount rows;
  Activation activation;
};

}  // namespace kl::cuda
