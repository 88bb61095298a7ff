// Arguments of quantize.cu. Host and device.
#pragma once
#include "cuda/common/kernel_args.h"

namespace kl::cuda {

inline constexpr uint32_t kQuantizeThreads = 256;

struct QuantizeArgs {
  const float* x;  // [R K], K a multiple of 32
  int8_t* codes;   // [R 64 tiles] in the order of Quantized (linear.h)
  float* scale;    // [R 2 tiles]
  float* sum;      // [R 2 tiles]
  RowCount rows;
  uint32_t k, tiles;
};

struct RoundHalvesArgs {
  const float* x;    // [R K], K a multiple of 32
  uint16_t* values;  // [R 64 tiles] in the order of Halves (linear.h)
  float* sum;        // [R 2 tiles]
  RowCount rows;
  uint32_t k, tiles;
};

struct RoundHalfArgs {
  const float* x;  // [R K]
  float* y;        // [R K]
  RowCount rows;
  uint32_t k;
};

}  // namespace kl::cuda
