// Arguments of rope.cu. Host and device.
#pragma once
#include "cuda/common/kernel_args.h"

namespace kl::cuda {

inline constexpr uint32_t kRopeThreads = 128;

struct RopeArgs {
  const float* x;             // [T heads*D]
  float* y;                   // [T heads*D]
  const int32_t* positions;   // [T 3] of the step
  const float* turn;          // [3][256][pairs][2] cos, sin (backend/rope_table.h)
  const uint32_t* component;  // [pairs] which of a row's positions turns the pair
  RowCount rows;
  uint32_t heads, head_size, pairs;
  bool neighbours;  // pairs (2i, 2i+1), else (i, i + pairs)
};

}  // namespace kl::cuda
