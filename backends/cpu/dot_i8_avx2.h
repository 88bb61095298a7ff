// Integer dots of AVX2 (no VNNI): vpmaddubsw multiplies unsigned by signed bytes and adds pairs into 16 bits, saturating; every use below stays inside.
#pragma once
#include "cpu/simd/avx2.h"

namespace kl::cpu {
namespace {

struct DotAvx2 {
  static constexpr int kVectors = 32 / Avx2::kLanes;
  template <int kRowsNow>
  static constexpr int kColumns = kRowsNow == 1 ? 4 : 2;  // vectors accumulated at once: 6 sums of 3 rows, with codes, fit 16 registers
  static constexpr int kRows = 3;
  static constexpr bool kSignedCodes = true;
  using Codes = __m256i;
  using Four = __m256i;
  using Sum = __m256i;

  KL_INLINE Codes load(const std::byte* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  KL_INLINE Codes low(Codes c) { return _mm256_and_si256(c, _mm256_set1_epi8(0x0f)); }
  KL_INLINE Codes high(Codes c) { return _mm256_and_si256(_mm256_srli_epi16(c, 4), _mm256_set1_epi8(0x0f)); }
  template <int kFrom, int kTo, int kMask>
  KL_INLINE Codes move_bits(Codes c) {
    if constexpr (kFrom > kTo) c = _mm256_srli_epi16(c, kFrom - kTo);
    if constexpr (kFrom < kTo) c = _mm256_slli_epi16(c, kTo - kFrom);
    return _mm256_and_si256(c, _mm256_set1_epi8(kMask));
  }
  KL_INLINE Codes either(Codes a, Codes b) { return _mm256_or_si256(a, b); }
  KL_INLINE Codes from_biased(Codes c) { return _mm256_xor_si256(c, _mm256_set1_epi8(static_cast<char>(0x80))); }
  KL_INLINE Codes load_table(const uint8_t* table) {
    return from_biased(_mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table))));
  }
  KL_INLINE Codes lookup(Codes table, Codes nibbles) { return _mm256_shuffle_epi8(table, nibbles); }

  KL_INLINE Four load_four(const std::byte* p) {
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return _mm256_set1_epi32(four);
  }

  // Codes up to 15: all 8 steps are summed in 16 bits (8 * 2 * 15 * 127 = 30,480), widened once. Larger codes are widened each step;
  // signed ones (kMax = 128) go through |w| * (sign(w) a), at most 2 * 128 * 127 = 32,512, since |a| <= 127.
  template <int kMax>
  KL_INLINE Sum start(int32_t) {
    return _mm256_setzero_si256();
  }
  template <int kMax>
  KL_INLINE Sum add(Sum sum, Codes codes, Four four) {
    if constexpr (kMax <= 15) {
      sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(codes, four));
    } else {
      const __m256i pairs =
          kMax < 128 ? _mm256_maddubs_epi16(codes, four) : _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(four, codes));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    asm("" : "+x"(sum));  // added now: GCC otherwise gathers all products of a group on the stack and adds them at the end (half the speed)
    return sum;
  }
  template <int kMax>
  KL_INLINE Avx2::I finish(Sum sum, int32_t initial) {
    if constexpr (kMax <= 15) sum = _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
    return _mm256_add_epi32(sum, _mm256_set1_epi32(initial));
  }
  KL_INLINE void unpack_six(const std::byte* from, uint8_t* to) { unpack_six_portable(from, to); }
};

}  // namespace
}  // namespace kl::cpu
