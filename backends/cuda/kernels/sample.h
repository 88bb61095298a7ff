// Arguments of sample.cu. Host and device.
#pragma once
#include "cuda/common/kernel_args.h"

namespace kl::cuda {

inline constexpr uint32_t kSampleThreads = 256;
inline constexpr uint32_t kSamplePart = 8192;  // logits a block goes through

struct SampleArgs {
  const float* logits;  // [O V]
  uint64_t* keys;       // [O parts]
  int32_t* out;         // [O]
  RowCount rows;
  uint32_t width, parts;
};

}  // namespace kl::cuda
