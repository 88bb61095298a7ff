// Arguments of sample.cu. Host and device.
#pragma once
#include "cuda/common/kernel_args.h"

namespace kl::cuda {

inline constexpr uint32_t kSampleThreads = 256;
inline constexpr uint32_t kSampleLanes = 128;  // of a draw (core/draw.h)
inline constexpr uint32_t kSamplePart = 8192;  // logits a block goes through

struct SampleArgs {
  const float* logits;    // [O V]
  const uint32_t* draws;  // [O 4] DrawSettings: scale, top_k, random number low, high
  uint64_t* keys;         // [O parts]
  uint32_t* counts;       // [O 256]
  int32_t* out;           // [O]
  RowCount rows;
  uint32_t width, parts;
};

}  // namespace kl::cuda
