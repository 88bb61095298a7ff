// q4_k: 256 values in 144 bytes, 8 sub-blocks of 32; x[32 j + i] = (d * s[j]) * q[32 j + i] - (dmin * m[j]).
//   byte 0..1       d      f16
//   byte 2..3       dmin   f16
//   byte 4 + k      k = 0..3    bits 0..5 s[k]               | bits 6..7 upper two bits of s[k + 4]
//   byte 8 + k      k = 0..3    bits 0..5 m[k]               | bits 6..7 upper two bits of m[k + 4]
//   byte 12 + k     k = 0..3    bits 0..3 low bits of s[k + 4] | bits 4..7 low bits of m[k + 4]
//   byte 16 + 32 p + i          bits 0..3 q[64 p + i]        | bits 4..7 q[64 p + 32 + i]      p = 0..3, i = 0..31
#include <algorithm>

#include "core/formats/k_scales.h"

namespace kl::formats {
namespace {
constexpr size_t kValues = 256, kBytes = 144, kScales = 4, kCodes = 16;
}

void dequantize_q4_k(const std::byte* src, float* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kBytes, dst += kValues) {
    const float d = load_f16(src), dmin = load_f16(src + 2);
    for (size_t j = 0; j < 8; ++j) {
      const ScaleMin sm = k_scale_min(src + kScales, j);
      const float step = d * static_cast<float>(sm.scale), offset = dmin * static_cast<float>(sm.min);
      for (size_t i = 0; i < 32; ++i) {
        const auto pair = std::to_integer<uint32_t>(src[kCodes + j / 2 * 32 + i]);
        dst[32 * j + i] = step * static_cast<float>(j % 2 == 0 ? pair & 15u : pair >> 4) - offset;
      }
    }
  }
}

void quantize_q4_k(const float* src, std::byte* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kValues, dst += kBytes) {
    const KScales scales = k_scales(src, 15);
    store_u16(dst, scales.d);
    store_u16(dst + 2, scales.dmin);
    std::copy_n(scales.packed, sizeof(scales.packed), dst + kScales);
    for (size_t p = 0; p < 4; ++p) {
      for (size_t i = 0; i < 32; ++i) {
        const int low = scales.code(src[64 * p + i], 2 * p, 15), high = scales.code(src[64 * p + 32 + i], 2 * p + 1, 15);
        dst[kCodes + 32 * p + i] = static_cast<std::byte>(low | (high << 4));
      }
    }
  }
}

}  // namespace kl::formats
