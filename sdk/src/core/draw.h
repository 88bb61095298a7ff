// One draw from softmax(logits / temperature), of all tokens or of the top_k best, in arithmetic that every processor and GPU does alike: the same token from the
// same logits, on the host and inside a recording (core/draw.cpp, the reference of the sample op, shaders/sample.comp).
//
//   t(i) = (logit(i) - best) * scale      two float32 operations, to nearest; scale = f32(log2(e) / temperature), at most 1e30
//   w(i) = 2^t(i), 42 bits behind the point, from integers only (draw_weight); 0 where t(i) <= -43. The relative error is at most 2^-28
//   sum  = all w(i), exactly: at most 2^21 of them
//   r    = floor(random * sum / 2^64)     random: 64 bits, so that r is uniform below sum
//   the token is the first whose running sum exceeds r. Tokens stand in lanes of i mod 128, one lane behind the other, ids ascending within: a GPU's threads then
//   read side by side, and the order is as good as any.
//
// top_k cuts before the draw: the k highest logits, of equal ones at the cut the lowest ids. float32 differences that a driver flushes to zero count as zero here
// too (both give w = 1), so denormal numbers are no exception.
#pragma once
#include <array>
#include <cstdint>
#include <span>

namespace kl {

// How one row is drawn. Also the layout of StepParams::sampling().
struct DrawSettings {
  float scale = 0;     // 0: the highest logit. Negative: nothing is drawn
  uint32_t top_k = 0;  // 0: no cut
  uint32_t random_low = 0, random_high = 0;
};

inline constexpr uint32_t kDrawLanes = 128;

// Of a temperature above 0.
float draw_scale(float temperature);

// 2^(fraction / 2^24) with 30 bits behind the point, fraction < 2^24. Never too large, monotonous, 0 gives exactly 1.
constexpr uint32_t exp2_fixed(uint32_t fraction) {
  // (2^f - 1) / f through the Chebyshev nodes of degree 6, to 2^-30.
  constexpr uint32_t kSeries[] = {0x40000000, 0x2c5c85fe, 0x0f5fdee9, 0x038d627e, 0x009d8d19, 0x0015efc7, 0x000264c6, 0x000056f5};
  uint32_t p = kSeries[7];
  for (int i = 6; i >= 0; --i) p = kSeries[i] + static_cast<uint32_t>(uint64_t{p} * (fraction << 8) >> 32);
  return p;
}

// Precondition: logit <= best, both numbers (logit may be -infinity).
inline uint64_t draw_weight(float logit, float best, float scale) {
  const float t = (logit - best) * scale;
  if (!(t > -43.0f)) return 0;
  const auto below = static_cast<uint32_t>(t * -16777216.0f);  // a power of two: exact but for what is cut off
  const uint32_t halvings = (below + 0xffffffu) >> 24;
  return uint64_t{exp2_fixed((halvings << 24) - below)} << 12 >> halvings;
}

// floor(a * b / 2^64)
constexpr uint64_t multiply_high(uint64_t a, uint64_t b) {
  const uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
  const uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (middle & 0xffffffffu);
  return a1 * b1 + (middle >> 32) + (other >> 32);
}

// A float32 as an unsigned number in the same order; both zeros are one. Not for NaN.
constexpr uint32_t order_of(uint32_t bits) {
  if (bits == 0x80000000u) bits = 0;
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

// The token. Preconditions: best is the highest logit, at a token; no logit is NaN or +infinity; settings.scale > 0. Allocates nothing.
int32_t draw(std::span<const float> logits, float best, const DrawSettings& settings);

}  // namespace kl
