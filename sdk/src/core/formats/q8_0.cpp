// q8_0: 32 values in 34 bytes; x[i] = d * q[i].
//   byte 0..1    d      f16
//   byte 2..33   q[i]   int8, i = 0..31
#include "core/formats/rows.h"

namespace kl::formats {
namespace {
constexpr size_t kValues = 32, kBytes = 34;
}

void dequantize_q8_0(const std::byte* src, float* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kBytes, dst += kValues) {
    const float d = load_f16(src);
    for (size_t i = 0; i < kValues; ++i) dst[i] = static_cast<float>(static_cast<int8_t>(src[2 + i])) * d;
  }
}

void quantize_q8_0(const float* src, std::byte* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kValues, dst += kBytes) {
    const float d = std::fabs(signed_max(src, kValues)) / 127.0f;
    const float id = inverse(d);
    store_u16(dst, f32_to_f16(d));
    for (size_t i = 0; i < kValues; ++i) dst[2 + i] = static_cast<std::byte>(round_to(src[i] * id, -127, 127));
  }
}

}  // namespace kl::formats
