// q5_k: 256 values in 176 bytes, 8 sub-blocks of 32; x[32 j + i] = (d * s[j]) * q[32 j + i] - (dmin * m[j]).
//   byte 0..15      d, dmin, s, m as in q4_k
//   byte 16 + i     bit j is bit 4 of q[32 j + i]                                                       i = 0..31, j = 0..7
//   byte 48 + 32 p + i   bits 0..3 low bits of q[64 p + i] | bits 4..7 low bits of q[64 p + 32 + i]     p = 0..3
#include <algorithm>

#include "core/formats/k_scales.h"

namespace kl::formats {
namespace {
constexpr size_t kValues = 256, kBytes = 176, kScales = 4, kHigh = 16, kCodes = 48;
}

void dequantize_q5_k(const std::byte* src, float* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kBytes, dst += kValues) {
    const float d = load_f16(src), dmin = load_f16(src + 2);
    for (size_t j = 0; j < 8; ++j) {
      const ScaleMin sm = k_scale_min(src + kScales, j);
      const float step = d * static_cast<float>(sm.scale), offset = dmin * static_cast<float>(sm.min);
      for (size_t i = 0; i < 32; ++i) {
        const auto pair = std::to_integer<uint32_t>(src[kCodes + j / 2 * 32 + i]);
        const uint32_t high = std::to_integer<uint32_t>(src[kHigh + i]) >> j & 1u;
        dst[32 * j + i] = step * static_cast<float>((j % 2 == 0 ? pair & 15u : pair >> 4) | (high << 4)) - offset;
      }
    }
  }
}

void quantize_q5_k(const float* src, std::byte* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kValues, dst += kBytes) {
    const KScales scales = k_scales(src, 31);
    store_u16(dst, scales.d);
    store_u16(dst + 2, scales.dmin);
    std::copy_n(scales.packed, sizeof(scales.packed), dst + kScales);
    std::fill_n(dst + kHigh, kBytes - kHigh, std::byte{});
    for (size_t j = 0; j < 8; ++j) {
      for (size_t i = 0; i < 32; ++i) {
        const auto q = static_cast<unsigned>(scales.code(src[32 * j + i], j, 31));
        dst[kHigh + i] |= static_cast<std::byte>((q >> 4) << j);
        dst[kCodes + j / 2 * 32 + i] |= static_cast<std::byte>((q & 15u) << (j % 2 * 4));
      }
    }
  }
}

}  // namespace kl::formats
