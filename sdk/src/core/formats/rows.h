// One pair of functions per format, and what their files share. Everybody else uses core/formats.h, or these constants (kernels, packers).
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "core/half.h"

namespace kl::formats {

void dequantize_f32(const std::byte* src, float* dst, size_t n);
void dequantize_f16(const std::byte* src, float* dst, size_t n);
void dequantize_bf16(const std::byte* src, float* dst, size_t n);
void dequantize_q8_0(const std::byte* src, float* dst, size_t n);
void dequantize_q4_0(const std::byte* src, float* dst, size_t n);
void dequantize_q4_1(const std::byte* src, float* dst, size_t n);
void dequantize_q5_0(const std::byte* src, float* dst, size_t n);
void dequantize_q5_1(const std::byte* src, float* dst, size_t n);
void dequantize_q4_k(const std::byte* src, float* dst, size_t n);
void dequantize_q5_k(const std::byte* src, float* dst, size_t n);
void dequantize_q6_k(const std::byte* src, float* dst, size_t n);
void dequantize_iq4_nl(const std::byte* src, float* dst, size_t n);
void dequantize_mxfp4(const std::byte* src, float* dst, size_t n);

void quantize_f32(const float* src, std::byte* dst, size_t n);
void quantize_f16(const float* src, std::byte* dst, size_t n);
void quantize_bf16(const float* src, std::byte* dst, size_t n);
void quantize_q8_0(const float* src, std::byte* dst, size_t n);
void quantize_q4_0(const float* src, std::byte* dst, size_t n);
void quantize_q4_1(const float* src, std::byte* dst, size_t n);
void quantize_q5_0(const float* src, std::byte* dst, size_t n);
void quantize_q5_1(const float* src, std::byte* dst, size_t n);
void quantize_q4_k(const float* src, std::byte* dst, size_t n);
void quantize_q5_k(const float* src, std::byte* dst, size_t n);
void quantize_q6_k(const float* src, std::byte* dst, size_t n);
void quantize_iq4_nl(const float* src, std::byte* dst, size_t n);
void quantize_mxfp4(const float* src, std::byte* dst, size_t n);

// iq4_nl: the value of each 4-bit code, before the scale (ggml's table: levels fitted to normal weights).
inline constexpr int8_t kIq4NlValues[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
// mxfp4: twice the value of each 4-bit code (sign, 2 exponent bits, 1 mantissa bit: OCP Microscaling v1.0, E2M1), so that they are integers.
inline constexpr int8_t kMxfp4DoubleValues[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
// mxfp4: half of the scale 2^(e - 127), to go with the doubled values. e = 255 (NaN in OCP's text) is 2^127 here, as in ggml.
constexpr float mxfp4_half_scale(uint8_t e) {
  return std::bit_cast<float>(e < 2 ? uint32_t{0x00200000} << e : static_cast<uint32_t>(e - 1) << 23);
}

// q4_k and q5_k: scale and minimum (6 bits each) of sub-block j (0..7) from the 12 bytes of q4_k.cpp's diagram.
struct ScaleMin {
  uint8_t scale, min;
};
constexpr ScaleMin k_scale_min(const std::byte* packed, size_t j) {
  const auto at = [packed](size_t i) { return std::to_integer<uint32_t>(packed[i]); };
  if (j < 4) return {static_cast<uint8_t>(at(j) & 63u), static_cast<uint8_t>(at(j + 4) & 63u)};
  return {static_cast<uint8_t>((at(j + 4) & 15u) | ((at(j - 4) >> 6) << 4)), static_cast<uint8_t>((at(j + 4) >> 4) | ((at(j) >> 6) << 4))};
}
constexpr void set_k_scale_min(std::byte* packed, size_t j, ScaleMin v) {  // packed starts as zeros
  const auto add = [packed](size_t i, uint32_t bits) { packed[i] |= static_cast<std::byte>(bits); };
  if (j < 4) {
    add(j, v.scale);
    add(j + 4, v.min);
  } else {
    add(j + 4, (v.scale & 15u) | ((v.min & 15u) << 4));
    add(j - 4, (v.scale >> 4 << 6));
    add(j, (v.min >> 4 << 6));
  }
}

inline uint16_t load_u16(const std::byte* from) {
  return static_cast<uint16_t>(std::to_integer<uint32_t>(from[0]) | (std::to_integer<uint32_t>(from[1]) << 8));
}
inline uint32_t load_u32(const std::byte* from) { return load_u16(from) | (static_cast<uint32_t>(load_u16(from + 2)) << 16); }
inline float load_f16(const std::byte* from) { return f16_to_f32(load_u16(from)); }
inline void store_u16(std::byte* to, uint16_t value) {
  to[0] = static_cast<std::byte>(value & 255u);
  to[1] = static_cast<std::byte>(value >> 8);
}
inline void store_u32(std::byte* to, uint32_t value) {
  store_u16(to, static_cast<uint16_t>(value & 0xffffu));
  store_u16(to + 2, static_cast<uint16_t>(value >> 16));
}

// x cut to [low, high] and its fraction dropped; NaN gives low.
inline int truncate_to(float x, int low, int high) {
  if (!(x >= static_cast<float>(low))) return low;
  return x >= static_cast<float>(high) ? high : static_cast<int>(x);
}
// To the nearest integer in [low, high], halves away from zero; NaN gives low.
inline int round_to(float x, int low, int high) {
  if (!(x >= static_cast<float>(low))) return low;
  return x >= static_cast<float>(high) ? high : static_cast<int>(std::round(x));
}
inline float inverse(float d) { return d != 0.0f ? 1.0f / d : 0.0f; }

// The value of largest magnitude with its sign, the first of equals. NaN is passed over.
inline float signed_max(const float* x, size_t n) {
  float best = 0.0f;
  for (size_t i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > std::fabs(best)) best = x[i];
  }
  return best;
}
struct Extent {
  float min, max;
};
inline Extent extent(const float* x, size_t n) {
  Extent e = {x[0], x[0]};
  for (size_t i = 1; i < n; ++i) {
    if (x[i] < e.min) e.min = x[i];
    if (x[i] > e.max) e.max = x[i];
  }
  return e;
}

}  // namespace kl::formats
