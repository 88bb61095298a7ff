// q4_1: 32 values in 20 bytes; x[i] = d * q[i] + m.
//   byte 0..1    d              f16
//   byte 2..3    m              f16
//   byte 4 + j   bits 0..3 q[j] | bits 4..7 q[j + 16]     j = 0..15
#include "core/formats/rows.h"

namespace kl::formats {
namespace {
constexpr size_t kValues = 32, kHalf = 16, kBytes = 20;
}

void dequantize_q4_1(const std::byte* src, float* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kBytes, dst += kValues) {
    const float d = load_f16(src), m = load_f16(src + 2);
    for (size_t j = 0; j < kHalf; ++j) {
      const int q = std::to_integer<int>(src[4 + j]);
      dst[j] = static_cast<float>(q & 15) * d + m;
      dst[j + kHalf] = static_cast<float>(q >> 4) * d + m;
    }
  }
}

void quantize_q4_1(const float* src, std::byte* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kValues, dst += kBytes) {
    const Extent e = extent(src, kValues);
    const float d = (e.max - e.min) / 15.0f;
    const float id = inverse(d);
    store_u16(dst, f32_to_f16(d));
    store_u16(dst + 2, f32_to_f16(e.min));
    const auto code = [&](size_t i) { return truncate_to((src[i] - e.min) * id + 0.5f, 0, 15); };
    for (size_t j = 0; j < kHalf; ++j) dst[4 + j] = static_cast<std::byte>(code(j) | (code(j + kHalf) << 4));
  }
}

}  // namespace kl::formats
