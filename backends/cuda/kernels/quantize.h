// Arguments of quantize.cu. Host and device.
#pragma once
#include "cuda/common/kernel_args.h"

namespace kl::cuda {

inline constexpr uint32_t kQuantizeThreads = 256;

// Where rounded rows go: Quantized of kernels/linear.h.
struct QuantizedRows {
  int8_t* codes;  // [R 64 tiles]
  float* scale;   // [R 2 tiles]
  float* sum;     // [R 2 tiles]
  uint32_t tiles;
};

struct QuantizeArgs {
  const float* x;  // [R K], K a multiple of 32
  QuantizedRows to;
  RowCount rows;
  uint32_t k;
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
