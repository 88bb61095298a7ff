// The inputs of a linear rounded to the plan's activation format.
//   quantize         int8 in groups of 32 with scale s = max|x| / 127: codes, scales, s * (sum of codes); zeros behind K       x [R K] -> [R 64 tiles]
//   quantize__halves binary16 and the sums of 32, ((x0 + x1) + (x2 + x3)) of four, then in a tree; zeros behind K              x [R K] -> [R 64 tiles]
//   quantize__half   binary16, kept as float32                                                                                  x [R K] -> [R K]
// Grid (ceil(tiles / 16), R), 16 lanes a tile: 8 to a group, 4 values each, written where linear.h has them. Bytes: 4 K read, 1.25 K written a row.
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

KL_KERNEL(quantize__halves, RoundHalvesArgs, kQuantizeThreads) {
  const uint32_t t = blockIdx.y, at = blockIdx.x * kQuantizeThreads + threadIdx.x, k = 4 * at;
  if (t >= live_rows(a.rows)) return;
  uint4 bits = make_uint4(0, 0, 0, 0);
  if (k < a.k) bits = load_16(a.x + static_cast<uint64_t>(t) * a.k + k);
  const uint2 halves = make_uint2(floats_to_halves(__uint_as_float(bits.x), __uint_as_float(bits.y)),
                                  floats_to_halves(__uint_as_float(bits.z), __uint_as_float(bits.w)));
  const float2 first = halves_to_floats(halves.x), second = halves_to_floats(halves.y);
  float sum = (first.x + first.y) + (second.x + second.y);
  KL_UNROLL
  for (int step = 1; step < 8; step *= 2) sum = sum + __shfl_xor_sync(kFullWarp, sum, step);
  if (k >= a.tiles * 64) return;
  const uint64_t tile = static_cast<uint64_t>(t) * a.tiles + at / 16;
  const uint32_t part = at % 16 / 4;  // 2 block + half
  *reinterpret_cast<uint2*>(a.values + tile * 64 + part / 2 * 32 + at % 4 * 8 + part % 2 * 4) = halves;
  if (at % 8 == 0) a.sum[static_cast<uint64_t>(t) * a.tiles * 2 + at / 8] = sum;
}

KL_KERNEL(quantize__half, RoundHalfArgs, kQuantizeThreads) {
  const uint32_t t = blockIdx.y, i = blockIdx.x * kQuantizeThreads + threadIdx.x;
  if (t >= live_rows(a.rows) || i >= a.k) return;
  const uint64_t at = static_cast<uint64_t>(t) * a.k + i;
  a.y[at] = half_to_float(float_to_half(a.x[at]));
}

}  // namespace kl::cuda
