// Float lanes of AVX2 with FMA and F16C.
#pragma once
#include <immintrin.h>

#include "cpu/simd/common.h"
#include "cpu/simd/xsimd_private.h"

namespace kl::cpu {
namespace {

struct Avx2 {
  static constexpr int kLanes = 8;
  using F = xsimd::batch<float, xsimd::fma3<xsimd::avx2>>;
  using I = xsimd::batch<int32_t, xsimd::fma3<xsimd::avx2>>;

  KL_INLINE F load(const float* p) { return _mm256_loadu_ps(p); }
  KL_INLINE void store(float* p, F v) { _mm256_storeu_ps(p, v); }
  KL_INLINE F set(float v) { return _mm256_set1_ps(v); }
  KL_INLINE I set_int(int32_t v) { return _mm256_set1_epi32(v); }
  KL_INLINE F fma(F a, F b, F c) { return xsimd::fma(a, b, c); }
  KL_INLINE F fnma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a b, rounded once
  KL_INLINE F divide(F a, F b) { return a / b; }
  KL_INLINE F min(F a, F b) { return _mm256_min_ps(a, b); }
  KL_INLINE F max(F a, F b) { return _mm256_max_ps(a, b); }
  KL_INLINE F abs(F a) { return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff))); }
  KL_INLINE F select_less(F a, F b, F yes, F no) { return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
  KL_INLINE I max_int(I a, I b) { return _mm256_max_epi32(a, b); }
  KL_INLINE I add_int(I a, I b) { return _mm256_add_epi32(a, b); }
  KL_INLINE I bits(F a) { return _mm256_castps_si256(a); }
  KL_INLINE F from_bits(I a) { return _mm256_castsi256_ps(a); }
  KL_INLINE I round(F a) { return _mm256_cvtps_epi32(a); }
  KL_INLINE F to_float(I a) { return _mm256_cvtepi32_ps(a); }
  template <int kShift>
  KL_INLINE I shift_left(I a) {
    return _mm256_slli_epi32(a, kShift);
  }
  KL_INLINE int32_t reduce_max(I a) {
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return _mm_cvtsi128_si32(m);
  }

  KL_INLINE F load_f16(const std::byte* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  KL_INLINE F load_bf16(const std::byte* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), 16));
  }
  KL_INLINE I load_u8(const std::byte* p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))); }
  KL_INLINE I load_i8(const std::byte* p) { return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))); }
  KL_INLINE void store_i8(int8_t* p, I v) {
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
  }
  KL_INLINE int32_t sum_bytes(const int8_t* p) {  // of 16
    const __m128i biased = _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), _mm_set1_epi8(static_cast<char>(0x80)));
    const __m128i sums = _mm_sad_epu8(biased, _mm_setzero_si128());
    return _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_unpackhi_epi64(sums, sums))) - 16 * 128;
  }
};

}  // namespace
}  // namespace kl::cpu
