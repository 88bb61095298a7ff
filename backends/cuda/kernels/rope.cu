// rope: pairs of a head turned by position * frequency.                                                        x [T heads*D] -> y [T heads*D]
// Angles: common/rope.cuh. Grid (ceil(heads * D / 2 / 128), T).
#include "cuda/kernels/rope.h"

#include "cuda/common/rope.cuh"

namespace kl::cuda {

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
  const float2 angle = angle_of(a.turn, a.pairs, pair, a.positions[3 * t + a.component[pair]]);
  const uint64_t i = row + (a.neighbours ? 2 * pair : pair), j = row + (a.neighbours ? 2 * pair + 1 : pair + a.pairs);
  const float first = a.x[i], second = a.x[j];
  a.y[i] = first * angle.x - second * angle.y;
  a.y[j] = first * angle.y + second * angle.x;
}

}  // namespace kl::cuda
