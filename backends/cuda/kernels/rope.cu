// rope: pairs of a head turned by position * frequency.                                                        x [T heads*D] -> y [T heads*D]
// Angles come from a table the host made in double precision: cos and sin of the three base-256 digits of a position, joined by the addition theorem. Error some 3e-7;
// float32 would lose the phase of a large position. Grid (ceil(heads * D / 2 / 128), T).
#include "cuda/kernels/rope.h"

#include "cuda/common/kernel.cuh"

namespace kl::cuda {

namespace {

KL_DEVICE float2 turned(float2 a, const float* turn, uint64_t at) {
  const float2 b = make_float2(turn[2 * at], turn[2 * at + 1]);
  return make_float2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

}  // namespace

KL_KERNEL(rope, RopeArgs, kRopeThreads) {
  const uint32_t t = blockIdx.y, item = blockIdx.x * kRopeThreads + threadIdx.x, half_head = a.head_size / 2;
  if (t >= live_rows(a.rows) || item >= a.heads * half_head) return;
  const uint32_t pair = item % half_head;
  const uint64_t row = static_cast<uint64_t>(t) * a.heads * a.head_size + item / half_head * a.head_size;
  if (pair >= a.pairs) {  // dimensions that are not turned
    a.y[row + 2 * pair] = a.x[row + 2 * pair];
    a.y[row + 2 * pair + 1] = a.x[row + 2 * pair + 1];
    return;
  }
  const int32_t position = a.positions[3 * t + a.component[pair]];
  const uint32_t p = position < 0 ? 0u - static_cast<uint32_t>(position) : static_cast<uint32_t>(position);
  const uint32_t low = (p & 255u) * a.pairs + pair;
  float2 angle = make_float2(a.turn[2 * low], a.turn[2 * low + 1]);
  if (p > 255) angle = turned(angle, a.turn, (256 + (p >> 8 & 255u)) * a.pairs + pair);
  if (p > 65535) angle = turned(angle, a.turn, (512 + (p >> 16 & 255u)) * a.pairs + pair);
  if (position < 0) angle.y = -angle.y;
  const uint64_t i = row + (a.neighbours ? 2 * pair : pair), j = row + (a.neighbours ? 2 * pair + 1 : pair + a.pairs);
  const float first = a.x[i], second = a.x[j];
  a.y[i] = first * angle.x - second * angle.y;
  a.y[j] = first * angle.y + second * angle.x;
}

}  // namespace kl::cuda
