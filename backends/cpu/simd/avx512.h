// Float lanes of AVX-512: xsimd for the arithmetic, intrinsics where it has none (a fused fma, conversions from narrow types).
#pragma once
#include <immintrin.h>

#include "cpu/simd/common.h"
#include "cpu/simd/xsimd_private.h"

namespace kl::cpu {
namespace {

struct Avx512 {
  static constexpr int kLanes = 16;
  using F = xsimd::batch<float, xsimd::avx512bw>;
  using I = xsimd::batch<int32_t, xsimd::avx512bw>;

  KL_INLINE F load(const float* p) { return _mm512_loadu_ps(p); }
  KL_INLINE void store(float* p, F v) { _mm512_storeu_ps(p, v); }
  KL_INLINE F set(float v) { return _mm512_set1_ps(v); }
  KL_INLINE I set_int(int32_t v) { return _mm512_set1_epi32(v); }
  KL_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }    // xsimd 8.1 rounds twice here
  KL_INLINE F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b, rounded once
  KL_INLINE F divide(F a, F b) { return a / b; }
  KL_INLINE F min(F a, F b) { return _mm512_min_ps(a, b); }
  KL_INLINE F max(F a, F b) { return _mm512_max_ps(a, b); }
  KL_INLINE F abs(F a) { return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff))); }
  KL_INLINE F select_less(F a, F b, F yes, F no) { return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes); }
  KL_INLINE I max_int(I a, I b) { return _mm512_max_epi32(a, b); }
  KL_INLINE I add_int(I a, I b) { return _mm512_add_epi32(a, b); }
  KL_INLINE I bits(F a) { return _mm512_castps_si512(a); }
  KL_INLINE F from_bits(I a) { return _mm512_castsi512_ps(a); }
  KL_INLINE I round(F a) { return _mm512_cvtps_epi32(a); }  // to nearest even
  KL_INLINE F to_float(I a) { return _mm512_cvtepi32_ps(a); }
  template <int kShift>
  KL_INLINE I shift_left(I a) {
    return _mm512_slli_epi32(a, kShift);
  }
  KL_INLINE int32_t reduce_max(I a) { return _mm512_reduce_max_epi32(a); }

  // 16 narrow values, widened.
  KL_INLINE F load_f16(const std::byte* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
  KL_INLINE F load_bf16(const std::byte* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16));
  }
  KL_INLINE I load_u8(const std::byte* p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  KL_INLINE I load_i8(const std::byte* p) { return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  // The low byte of each lane, for lanes within -128..127.
  KL_INLINE void store_i8(int8_t* p, I v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(v)); }
  KL_INLINE int32_t sum_bytes(const int8_t* p) {  // of 16
    const __m128i biased = _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), _mm_set1_epi8(static_cast<char>(0x80)));
    const __m128i sums = _mm_sad_epu8(biased, _mm_setzero_si128());
    return _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_unpackhi_epi64(sums, sums))) - 16 * 128;
  }
};

}  // namespace
}  // namespace kl::cpu
