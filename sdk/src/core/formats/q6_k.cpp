// q6_k: 256 values in 210 bytes, 16 sub-blocks of 16; x[16 j + i] = (d * s[j]) * (q[16 j + i] - 32).
//   The 256 values are two halves h = 0, 1 of 128, a half is four quarters k = 0..3 of 32; value index = 128 h + 32 k + i, i = 0..31.
//   byte 64 h + 32 (k % 2) + i    low four bits of q: bits 0..3 for k = 0, 1; bits 4..7 for k = 2, 3
//   byte 128 + 32 h + i           upper two bits of q: bits 2 k .. 2 k + 1
//   byte 192 + j                  s[j]   int8, j = 0..15
//   byte 208..209                 d      f16
#include <algorithm>

#include "core/formats/rows.h"

namespace kl::formats {
namespace {
constexpr size_t kValues = 256, kBytes = 210, kHigh = 128, kScales = 192, kScale = 208;

struct Place {  // of value v
  size_t low_byte, low_shift, high_byte, high_shift;
};
constexpr Place place(size_t v) {
  const size_t h = v / 128, k = v / 32 % 4, i = v % 32;
  return {64 * h + 32 * (k % 2) + i, k / 2 * 4, kHigh + 32 * h + i, 2 * k};
}
}  // namespace

void dequantize_q6_k(const std::byte* src, float* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kBytes, dst += kValues) {
    const float d = load_f16(src + kScale);
    for (size_t v = 0; v < kValues; ++v) {
      const Place p = place(v);
      const int low = std::to_integer<int>(src[p.low_byte]) >> p.low_shift & 15;
      const int high = std::to_integer<int>(src[p.high_byte]) >> p.high_shift & 3;
      const float step = d * static_cast<float>(static_cast<int8_t>(src[kScales + v / 16]));
      dst[v] = step * static_cast<float>((low | (high << 4)) - 32);
    }
  }
}

void quantize_q6_k(const float* src, std::byte* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kValues, dst += kBytes) {
    float scale[16];
    for (size_t j = 0; j < 16; ++j) scale[j] = signed_max(src + 16 * j, 16) / -32.0f;  // the largest becomes code 0 exactly
    const uint16_t half = f32_to_f16(std::fabs(signed_max(scale, 16)) / 127.0f);
    const float d = f16_to_f32(half);
    std::fill_n(dst, kBytes, std::byte{});
    store_u16(dst + kScale, half);
    for (size_t v = 0; v < kValues; ++v) {
      const int s = round_to(scale[v / 16] * inverse(d), -127, 127);
      const auto q = static_cast<unsigned>(round_to(src[v] * inverse(d * static_cast<float>(s)), -32, 31) + 32);
      const Place p = place(v);
      dst[kScales + v / 16] = static_cast<std::byte>(s);
      dst[p.low_byte] |= static_cast<std::byte>((q & 15u) << p.low_shift);
      dst[p.high_byte] |= static_cast<std::byte>((q >> 4) << p.high_shift);
    }
  }
}

}  // namespace kl::formats
