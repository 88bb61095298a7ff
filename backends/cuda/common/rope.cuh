// The angle by which a pair of a head is turned. It comes from a table the host made in double precision: cos and sin of the three base-256 digits of a position, joined
// by the addition theorem. Error some 3e-7; float32 would lose the phase of a large position.
#pragma once
#include "cuda/common/kernel.cuh"

namespace kl::cuda {

KL_DEVICE float2 turned(float2 a, const float* turn, uint64_t at) {
  const float2 b = make_float2(turn[2 * at], turn[2 * at + 1]);
  return make_float2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

// cos and sin; turn [3][256][pairs][2].
KL_DEVICE float2 angle_of(const float* turn, uint32_t pairs, uint32_t pair, int32_t position) {
  const uint32_t p = position < 0 ? 0u - static_cast<uint32_t>(position) : static_cast<uint32_t>(position);
  const uint32_t low = (p & 255u) * pairs + pair;
  float2 angle = make_float2(turn[2 * low], turn[2 * low + 1]);
  if (p > 255) angle = turned(angle, turn, (256 + (p >> 8 & 255u)) * pairs + pair);
  if (p > 65535) angle = turned(angle, turn, (512 + (p >> 16 & 255u)) * pairs + pair);
  if (position < 0) angle.y = -angle.y;
  return angle;
}

}  // namespace kl::cuda
