// Across the lanes of one vector: what xsimd 8.1 lacks.
#pragma once
#include "cpu/simd/common.h"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace kl::cpu {
namespace {

// The greatest lane. Not for vectors with NaN (any lane may come back).
template <class S>
KL_INLINE float reduce_max(typename S::F v) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps(v);
#elif defined(__AVX2__)
  const __m256 wide = v;
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(wide), _mm256_extractf128_ps(wide, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
#else
  alignas(64) float lanes[S::kLanes];
  S::store(lanes, v);
  float m = lanes[0];
  for (int i = 1; i < S::kLanes; ++i) m = lanes[i] > m ? lanes[i] : m;
  return m;
#endif
}

template <class S>
KL_INLINE float first_lane(typename S::F v) {
  alignas(64) float lanes[S::kLanes];
  S::store(lanes, v);
  return lanes[0];
}

}  // namespace
}  // namespace kl::cpu
