// The inputs of a linear rounded to the plan's activation format.
//   quantize         int8 in groups of 32 with scale s = max|x| / 127: codes, scales, s * (sum of codes); zeros behind K       x [R K] -> [R 64 tiles]
//   quantize__half   binary16, kept as float32                                                                                  x [R K] -> [R K]
// Grid (ceil(tiles / 16), R), 16 lanes a tile: 8 to a group, 4 values each. Bytes: 4 K read, 1.25 K written a row.
#include "cuda/kernels/quantize.h"

#include "cuda/common/quantize.cuh"

namespace kl::cuda {

KL_KERNEL(quantize, QuantizeArgs, kQuantizeThreads) {
  const uint32_t t = blockIdx.y, at = blockIdx.x * kQuantizeThreads + threadIdx.x, k = 4 * at;  // this thread's values
  if (t >= live_rows(a.rows)) return;
  uint4 bits = make_uint4(0, 0, 0, 0);
  if (k < a.k) bits = load_16(a.x + static_cast<uint64_t>(t) * a.k + k);
  const float x[4] = {__uint_as_float(bits.x), __uint_as_float(bits.y), __uint_as_float(bits.z), __uint_as_float(bits.w)};
  quantize_four(a.to, t, at, x);
}

KL_KERNEL(quantize__half, RoundHalfArgs, kQuantizeThreads) {
  const uint32_t t = blockIdx.y, i = blockIdx.x * kQuantizeThreads + threadIdx.x;
  if (t >= live_rows(a.rows) || i >= a.k) return;
  const uint64_t at = static_cast<uint64_t>(t) * a.k + i;
  a.y[at] = half_to_float(float_to_half(a.x[at]));
}

}  // namespace kl::cuda
