// q5_1: 32 values in 24 bytes; x[i] = d * q[i] + m.
//   byte 0..1    d              f16
//   byte 2..3    m              f16
//   byte 4..7    h              u32; bit i is bit 4 of q[i], i = 0..31
//   byte 8 + j   bits 0..3 q[j] low | bits 4..7 q[j + 16] low     j = 0..15
#include "core/formats/rows.h"

namespace kl::formats {
namespace {
constexpr size_t kValues = 32, kHalf = 16, kBytes = 24;
}

void dequantize_q5_1(const std::byte* src, float* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kBytes, dst += kValues) {
    const float d = load_f16(src), m = load_f16(src + 2);
    const uint32_t high = load_u32(src + 4);
    for (size_t j = 0; j < kHalf; ++j) {
      const auto low = std::to_integer<uint32_t>(src[8 + j]);
      dst[j] = static_cast<float>((low & 15u) | ((high >> j & 1u) << 4)) * d + m;
      dst[j + kHalf] = static_cast<float>((low >> 4) | ((high >> (j + kHalf) & 1u) << 4)) * d + m;
    }
  }
}

void quantize_q5_1(const float* src, std::byte* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kValues, dst += kBytes) {
    const Extent e = extent(src, kValues);
    const float d = (e.max - e.min) / 31.0f;
    const float id = inverse(d);
    uint32_t high = 0;
    const auto code = [&](size_t i) {
      const int q = truncate_to((src[i] - e.min) * id + 0.5f, 0, 31);
      high |= static_cast<uint32_t>(q >> 4) << i;
      return q & 15;
    };
    for (size_t j = 0; j < kHalf; ++j) dst[8 + j] = static_cast<std::byte>(code(j) | (code(j + kHalf) << 4));
    store_u16(dst, f32_to_f16(d));
    store_u16(dst + 2, f32_to_f16(e.min));
    store_u32(dst + 4, high);
  }
}

}  // namespace kl::formats
