// What paged and dense attention share of softmax: partial results (m, l, acc) = (the greatest score, sum of e^(s - m), sum of e^(s - m) V) and how two
// become one.
#pragma once
#include "cpu/kernels/kv_tile.h"
#include "cpu/simd/math.h"
#include "cpu/simd/reduce.h"

namespace kl::cpu {
namespace {

constexpr float kNoScore = -__builtin_huge_valf();
constexpr int kQueryBlock = 6;  // queries in registers: 12 score sums, or 6 * 4 vectors of acc

// 32 lanes, added at distance 16, 8, 4, 2, 1.
KL_INLINE float sum_of_slots(const float* lanes) {
  float sums[kTokens];
  for (int i = 0; i < kTokens; ++i) sums[i] = lanes[i];
  for (int distance = kTokens / 2; distance > 0; distance /= 2) {
    for (int i = 0; i < distance; ++i) sums[i] += sums[i + distance];
  }
  return sums[0];
}

// total (m, l, acc) and one more partial result; acc null: all zero (a sink).
template <class S>
KL_INLINE void merge(float& total_m, float& total_l, float* total, uint32_t stride, float m, float l, const float* acc) {
  if (!(m > kNoScore)) return;
  if (!(total_m > kNoScore)) {
    total_m = m;
    total_l = l;
    for (uint32_t d = 0; d < stride; ++d) total[d] = acc == nullptr ? 0.0f : acc[d];
    return;
  }
  const float most = m > total_m ? m : total_m;
  const auto a = exp<S>(S::set(total_m - most)), b = exp<S>(S::set(m - most));
  total_l = first_lane<S>(S::fma(S::set(l), b, S::set(total_l) * a));
  for (uint32_t d = 0; d < stride; d += S::kLanes) {
    const auto scaled = S::load(total + d) * a;
    S::store(total + d, acc == nullptr ? scaled : S::fma(S::load(acc + d), b, scaled));
  }
  total_m = most;
}

}  // namespace
}  // namespace kl::cpu
