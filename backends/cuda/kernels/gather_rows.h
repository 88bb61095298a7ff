// Arguments of gather_rows.cu. Host and device.
#pragma once
#include "backend/fed_token.h"
#include "cuda/common/kernel_args.h"
#include "cuda/common/matrix.h"

namespace kl::cuda {

inline constexpr uint32_t kGatherRowsThreads = 128;

struct GatherRowsArgs {
  Matrix table;           // [V M]
  float* y;               // [T M]
  const int32_t* index;   // of the step: row t's number is index[t * stride]
  const float* features;  // [feature_rows M] or null
  const int32_t* fed;     // [O] what the step before drew, or null
  RowCount rows;
  uint32_t stride, feature_rows;
  float scale;
};

}  // namespace kl::cuda
