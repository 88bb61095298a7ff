// Integer dots for any processor; SSE2 is part of baseline x86-64 and is used there.
#pragma once
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "cpu/simd/generic.h"

namespace kl::cpu {
namespace {

struct DotGeneric {
  static constexpr int kVectors = 32 / Generic::kLanes;
  template <int kRowsNow>
  static constexpr int kColumns = 4;  // vectors accumulated at once
  static constexpr int kRows = 1;
  static constexpr bool kSignedCodes = false;
  typedef uint8_t Codes __attribute__((vector_size(16)));
  typedef uint16_t Words __attribute__((vector_size(16)));
  typedef int8_t Four __attribute__((vector_size(16)));
  using Sum = Generic::I;

  KL_INLINE Codes load(const std::byte* p) { return Generic::load_as<Codes>(p); }
  KL_INLINE Codes low(Codes c) { return c & 0x0f; }
  KL_INLINE Codes high(Codes c) { return reinterpret_cast<Codes>(reinterpret_cast<Words>(c) >> 4) & 0x0f; }
  template <int kFrom, int kTo, int kMask>
  KL_INLINE Codes move_bits(Codes c) {
    if constexpr (kFrom > kTo) c = reinterpret_cast<Codes>(reinterpret_cast<Words>(c) >> (kFrom - kTo));
    if constexpr (kFrom < kTo) c = reinterpret_cast<Codes>(reinterpret_cast<Words>(c) << (kTo - kFrom));
    return c & static_cast<uint8_t>(kMask);
  }
  KL_INLINE Codes either(Codes a, Codes b) { return a | b; }
  KL_INLINE Codes from_biased(Codes c) { return c; }
  KL_INLINE Codes load_table(const uint8_t* table) { return Generic::load_as<Codes>(table); }
  KL_INLINE Codes lookup(Codes table, Codes nibbles) {
    Codes out;
    for (int i = 0; i < 16; ++i) out[i] = table[nibbles[i]];
    return out;
  }

  KL_INLINE Four load_four(const std::byte* p) {
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return reinterpret_cast<Four>(Generic::set_int(four));
  }
  template <int kMax>
  KL_INLINE Sum start(int32_t initial) {
    return Generic::set_int(initial);
  }
  template <int kMax>
  KL_INLINE Sum add(Sum sum, Codes codes, Four four) {
#ifdef __SSE2__
    const __m128i c = reinterpret_cast<__m128i>(codes), a = reinterpret_cast<__m128i>(four);
    const __m128i even = _mm_madd_epi16(_mm_and_si128(c, _mm_set1_epi16(0xff)), _mm_srai_epi16(_mm_slli_epi16(a, 8), 8));
    const __m128i odd = _mm_madd_epi16(_mm_srli_epi16(c, 8), _mm_srai_epi16(a, 8));
    return reinterpret_cast<Sum>(_mm_add_epi32(reinterpret_cast<__m128i>(sum), _mm_add_epi32(even, odd)));
#else
    for (int o = 0; o < 4; ++o) {
      for (int b = 0; b < 4; ++b) sum[o] += static_cast<int32_t>(codes[4 * o + b]) * four[4 * o + b];
    }
    return sum;
#endif
  }
  template <int kMax>
  KL_INLINE Generic::I finish(Sum sum, int32_t) {
    return sum;
  }
  KL_INLINE void unpack_six(const std::byte* from, uint8_t* to) { unpack_six_portable(from, to); }
};

}  // namespace
}  // namespace kl::cpu
