// Arguments of patchify.cu. Host and device.
#pragma once
#include "cuda/common/kernel_args.h"

namespace kl::cuda {

inline constexpr uint32_t kPatchifyThreads = 256;

struct PatchifyArgs {
  const unsigned char* pixels;
  const float* level;            // [3 256] what each byte becomes
  const uint32_t* first_pixel;   // [T] of the step: kNoPixel for a row without a patch
  const uint32_t* pixel_stride;  // of the step
  float* y;                      // [T 3*size*size]
  RowCount rows;
  uint32_t size;
};

}  // namespace kl::cuda
