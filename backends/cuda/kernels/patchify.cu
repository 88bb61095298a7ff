// patchify: y[t][c][line][column] = (pixel / 255 - mean[c]) / deviation[c] over the row's patch; zeros for a row without one.
//                                                                               pixels uint8 [.. .. 3] -> y [T 3*size*size]
// What each byte becomes is a table from the host, in double precision. Grid (ceil(3 size^2 / 256), T).
#include "cuda/kernels/patchify.h"

#include "cuda/common/kernel.cuh"

namespace kl::cuda {

KL_KERNEL(patchify, PatchifyArgs, kPatchifyThreads) {
  const uint32_t t = blockIdx.y, i = blockIdx.x * kPatchifyThreads + threadIdx.x, area = a.size * a.size;
  if (t >= live_rows(a.rows) || i >= 3 * area) return;
  const uint32_t first = a.first_pixel[t], c = i / area, line = i % area / a.size, column = i % a.size;
  float v = 0.0f;
  if (first != 0xffffffffu) v = a.level[256 * c + a.pixels[first + static_cast<uint64_t>(line) * *a.pixel_stride + 3 * column + c]];
  a.y[static_cast<uint64_t>(t) * 3 * area + i] = v;
}

}  // namespace kl::cuda
