// Integer dots of ARMv8.2 (sdot).
#pragma once
#include "cpu/simd/neon.h"

namespace kl::cpu {
namespace {

struct DotNeon {
  static constexpr int kVectors = 32 / Neon::kLanes;
  template <int kRowsNow>
  static constexpr int kColumns = 4;  // 4 x 6 sums in registers; results wait in memory
  static constexpr int kRows = 6;
  static constexpr bool kSignedCodes = true;
  using Codes = uint8x16_t;
  using Four = int8x16_t;
  using Sum = int32x4_t;

  KL_INLINE Codes load(const std::byte* p) { return vld1q_u8(reinterpret_cast<const uint8_t*>(p)); }
  KL_INLINE Codes low(Codes c) { return vandq_u8(c, vdupq_n_u8(0x0f)); }
  KL_INLINE Codes high(Codes c) { return vshrq_n_u8(c, 4); }
  template <int kFrom, int kTo, int kMask>
  KL_INLINE Codes move_bits(Codes c) {
    if constexpr (kFrom > kTo) c = vshrq_n_u8(c, kFrom - kTo);
    if constexpr (kFrom < kTo) c = vshlq_n_u8(c, kTo - kFrom);
    return vandq_u8(c, vdupq_n_u8(kMask));
  }
  KL_INLINE Codes either(Codes a, Codes b) { return vorrq_u8(a, b); }
  KL_INLINE Codes from_biased(Codes c) { return veorq_u8(c, vdupq_n_u8(0x80)); }
  KL_INLINE Codes load_table(const uint8_t* table) { return from_biased(vld1q_u8(table)); }
  KL_INLINE Codes lookup(Codes table, Codes nibbles) { return vqtbl1q_u8(table, nibbles); }

  KL_INLINE Four load_four(const std::byte* p) {
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
  }
  template <int kMax>
  KL_INLINE Sum start(int32_t initial) {
    return vdupq_n_s32(initial);
  }
  template <int kMax>
  KL_INLINE Sum add(Sum sum, Codes codes, Four four) {
    return vdotq_s32(sum, vreinterpretq_s8_u8(codes), four);
  }
  template <int kMax>
  KL_INLINE Neon::I finish(Sum sum, int32_t) {
    return sum;
  }
  KL_INLINE void unpack_six(const std::byte* from, uint8_t* to) { unpack_six_portable(from, to); }
};

}  // namespace
}  // namespace kl::cpu
