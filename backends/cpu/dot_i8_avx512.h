// Integer dots of AVX-512 VNNI. A vector of codes holds four K of 16 outputs: byte 4o + b is output o, K = 4i + b.
#pragma once
#include "cpu/simd/avx512.h"

namespace kl::cpu {
namespace {

struct DotAvx512 {
  static constexpr int kVectors = 32 / Avx512::kLanes;  // vectors of a panel
  template <int kRowsNow>
  static constexpr int kColumns = 2;           // of which this many are accumulated at once
  static constexpr int kRows = 6;              // rows accumulated at once: 12 sums and 12 results in registers
  static constexpr bool kSignedCodes = false;  // 8-bit codes stay unsigned (q + 128), corrected by the starting value of the sum
  using Codes = __m512i;
  using Four = __m512i;  // four activations, in every lane
  using Sum = __m512i;

  // Into a register, once: folded into both of its uses (low, high), the line would be loaded twice, and with one row 64-byte loads are the limit
  // (one a cycle on Zen 4: 27 instead of 20 cycles per 32 K of Q4_0).
  KL_INLINE Codes load(const std::byte* p) {
    Codes c = _mm512_loadu_si512(p);
    asm("" : "+v"(c));
    return c;
  }
  KL_INLINE Codes low(Codes c) { return _mm512_and_si512(c, _mm512_set1_epi8(0x0f)); }
  KL_INLINE Codes high(Codes c) { return _mm512_and_si512(_mm512_srli_epi16(c, 4), _mm512_set1_epi8(0x0f)); }
  // Bits kFrom.. of each byte moved to bits kTo.., kept by the mask (of the target bits).
  template <int kFrom, int kTo, int kMask>
  KL_INLINE Codes move_bits(Codes c) {
    if constexpr (kFrom > kTo) c = _mm512_srli_epi16(c, kFrom - kTo);
    if constexpr (kFrom < kTo) c = _mm512_slli_epi16(c, kTo - kFrom);
    return _mm512_and_si512(c, _mm512_set1_epi8(kMask));
  }
  KL_INLINE Codes either(Codes a, Codes b) { return _mm512_or_si512(a, b); }
  KL_INLINE Codes from_biased(Codes c) { return c; }
  // table: 16 biased (q + 128) codes, broadcast.
  KL_INLINE Codes load_table(const uint8_t* table) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  }
  KL_INLINE Codes lookup(Codes table, Codes nibbles) { return _mm512_shuffle_epi8(table, nibbles); }

  KL_INLINE Four load_four(const std::byte* p) {
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return _mm512_set1_epi32(four);
  }
  // The sum begins at `initial`; kMax: the largest code, which bounds what narrow sums may hold on other instruction sets.
  template <int kMax>
  KL_INLINE Sum start(int32_t initial) {
    return _mm512_set1_epi32(initial);
  }
  template <int kMax>
  KL_INLINE Sum add(Sum sum, Codes codes, Four four) {
    return _mm512_dpbusd_epi32(sum, codes, four);
  }
  template <int kMax>
  KL_INLINE Avx512::I finish(Sum sum, int32_t) {
    return sum;
  }
  // 8 x 16 six-bit numbers, layout as unpack_six_portable.
  KL_INLINE void unpack_six(const std::byte* from, uint8_t* to) {
    const __m512i nibbles = _mm512_loadu_si512(from);
    const __m512i upper = _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 64)));
    const __m512i mask = _mm512_set1_epi8(0x30);
    // Upper bits of sub-blocks 0-3 move to bits 4 and 5: from bits 0 (left by 4) and from bits 2 (left by 2); of 4-7: from bits 4, and 6 (right by 2).
    const __m512i first = _mm512_sllv_epi64(upper, _mm512_set_epi64(2, 2, 2, 2, 4, 4, 4, 4));
    const __m512i second = _mm512_srlv_epi64(upper, _mm512_set_epi64(2, 2, 2, 2, 0, 0, 0, 0));
    _mm512_store_si512(to, _mm512_or_si512(low(nibbles), _mm512_and_si512(first, mask)));
    _mm512_store_si512(to + 64, _mm512_or_si512(high(nibbles), _mm512_and_si512(second, mask)));
  }
};

}  // namespace
}  // namespace kl::cpu
