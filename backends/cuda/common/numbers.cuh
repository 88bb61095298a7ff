// 16-bit floats as bits and pairs of bits (exact both ways; to nearest even), and rounding to the 8-bit activation format.
#pragma once
#include "cuda/common/kernel.cuh"

#if defined(__CUDACC__)
#include <cuda_fp16.h>
#else
#include "core/half.h"
#endif

namespace kl::cuda {

#if defined(__CUDACC__)
KL_DEVICE float half_to_float(uint32_t bits) { return __half2float(__ushort_as_half(static_cast<unsigned short>(bits))); }
KL_DEVICE uint32_t float_to_half(float v) { return __half_as_ushort(__float2half_rn(v)); }
#else
inline float half_to_float(uint32_t bits) { return f16_to_f32(static_cast<uint16_t>(bits)); }
inline uint32_t float_to_half(float v) { return f32_to_f16(v); }
#endif

KL_DEVICE float bfloat_to_float(uint32_t bits) { return __uint_as_float(bits << 16); }

// Two binary16 in a word, the first in the lower bits.
KL_DEVICE float2 halves_to_floats(uint32_t word) { return make_float2(half_to_float(word & 0xffffu), half_to_float(word >> 16)); }
KL_DEVICE uint32_t floats_to_halves(float first, float second) { return float_to_half(first) | float_to_half(second) << 16; }

// Byte `index` of a word, signed or not.
KL_DEVICE int32_t signed_byte(uint32_t word, uint32_t index) { return static_cast<int8_t>(word >> (8 * index)); }
KL_DEVICE uint32_t byte_of(uint32_t word, uint32_t index) { return word >> (8 * index) & 255u; }

// A group of 32 activations: scale s = max|x| / 127, q = round_to_even(x * (127 / max|x|)), value s q. most_bits: the largest bit pattern of |x|, where a NaN is above
// everything, so that it is not lost.
struct GroupScale {
  float scale, inverse;
};
KL_DEVICE GroupScale group_scale(uint32_t most_bits) {
  const float most = __uint_as_float(most_bits);
  const bool zero = most_bits <= 0x0d800000u;  // 2^-100: 127 / most would leave the range
  return {zero ? 0.0f : most / 127.0f, zero ? 0.0f : 127.0f / most};
}

}  // namespace kl::cuda
