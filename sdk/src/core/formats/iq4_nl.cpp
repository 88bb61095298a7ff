// iq4_nl: 32 values in 18 bytes; x[i] = d * kIq4NlValues[q[i]] (a table of unequal steps, finer near zero).
//   byte 0..1    d              f16
//   byte 2 + j   bits 0..3 q[j] | bits 4..7 q[j + 16]     j = 0..15
#include "core/formats/rows.h"

namespace kl::formats {
namespace {
constexpr size_t kValues = 32, kHalf = 16, kBytes = 18;

int nearest(float x) {  // the lower code of two equally near; the table ascends
  int best = 0;
  for (int q = 1; q < 16; ++q) {
    if (std::fabs(x - static_cast<float>(kIq4NlValues[q])) < std::fabs(x - static_cast<float>(kIq4NlValues[best]))) best = q;
  }
  return best;
}
}  // namespace

void dequantize_iq4_nl(const std::byte* src, float* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kBytes, dst += kValues) {
    const float d = load_f16(src);
    for (size_t j = 0; j < kHalf; ++j) {
      const auto q = std::to_integer<uint32_t>(src[2 + j]);
      dst[j] = d * static_cast<float>(kIq4NlValues[q & 15u]);
      dst[j + kHalf] = d * static_cast<float>(kIq4NlValues[q >> 4]);
    }
  }
}

void quantize_iq4_nl(const float* src, std::byte* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kValues, dst += kBytes) {
    const uint16_t half = f32_to_f16(signed_max(src, kValues) / static_cast<float>(kIq4NlValues[0]));  // the largest becomes code 0
    const float id = inverse(f16_to_f32(half));
    store_u16(dst, half);
    for (size_t j = 0; j < kHalf; ++j) dst[2 + j] = static_cast<std::byte>(nearest(src[j] * id) | (nearest(src[j + kHalf] * id) << 4));
  }
}

}  // namespace kl::formats
