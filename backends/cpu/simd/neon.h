// Float lanes of 64-bit ARM.
#pragma once
#include <arm_neon.h>

#include "cpu/simd/common.h"
#include "cpu/simd/xsimd_private.h"

namespace kl::cpu {
namespace {

struct Neon {
  static constexpr int kLanes = 4;
  using F = xsimd::batch<float, xsimd::neon64>;
  using I = xsimd::batch<int32_t, xsimd::neon64>;

  KL_INLINE F load(const float* p) { return vld1q_f32(p); }
  KL_INLINE void store(float* p, F v) { vst1q_f32(p, v); }
  KL_INLINE F set(float v) { return vdupq_n_f32(v); }
  KL_INLINE I set_int(int32_t v) { return vdupq_n_s32(v); }
  KL_INLINE F fma(F a, F b, F c) { return xsimd::fma(a, b, c); }
  KL_INLINE F fnma(F a, F b, F c) { return vfmsq_f32(c, a, b); }  // c - a b, rounded once
  KL_INLINE F divide(F a, F b) { return vdivq_f32(a, b); }        // never `/`: xsimd 8.1 approximates, and the last bits differ
  KL_INLINE F min(F a, F b) { return vminq_f32(a, b); }
  KL_INLINE F max(F a, F b) { return vmaxq_f32(a, b); }
  KL_INLINE F abs(F a) { return vabsq_f32(a); }
  KL_INLINE F select_less(F a, F b, F yes, F no) { return vbslq_f32(vcltq_f32(a, b), yes, no); }
  KL_INLINE I max_int(I a, I b) { return vmaxq_s32(a, b); }
  KL_INLINE I add_int(I a, I b) { return vaddq_s32(a, b); }
  KL_INLINE I bits(F a) { return vreinterpretq_s32_f32(a); }
  KL_INLINE F from_bits(I a) { return vreinterpretq_f32_s32(a); }
  KL_INLINE I round(F a) { return vcvtnq_s32_f32(a); }
  KL_INLINE F to_float(I a) { return vcvtq_f32_s32(a); }
  template <int kShift>
  KL_INLINE I shift_left(I a) {
    return vshlq_n_s32(a, kShift);
  }
  KL_INLINE int32_t reduce_max(I a) { return vmaxvq_s32(a); }

  KL_INLINE F load_f16(const std::byte* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(reinterpret_cast<const uint16_t*>(p)))); }
  KL_INLINE F load_bf16(const std::byte* p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(reinterpret_cast<const uint16_t*>(p)), 16));
  }
  KL_INLINE uint8x8_t load_four(const std::byte* p) {
    uint32_t four;
    __builtin_memcpy(&four, p, 4);
    return vreinterpret_u8_u32(vdup_n_u32(four));
  }
  KL_INLINE I load_u8(const std::byte* p) { return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(load_four(p))))); }
  KL_INLINE I load_i8(const std::byte* p) { return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(load_four(p))))); }
  KL_INLINE void store_i8(int8_t* p, I v) {
    const int16x4_t words = vqmovn_s32(v);
    const uint32_t four = vget_lane_u32(vreinterpret_u32_s8(vqmovn_s16(vcombine_s16(words, words))), 0);
    __builtin_memcpy(p, &four, 4);
  }
  KL_INLINE int32_t sum_bytes(const int8_t* p) { return vaddlvq_s8(vld1q_s8(p)); }  // of 16
};

}  // namespace
}  // namespace kl::cpu
