// bf16: the upper half of an IEEE binary32, little-endian, in blocks of one value.
//   bit 15 sign | 14..7 exponent (bias 127) | 6..0 fraction
#include "core/formats/rows.h"

namespace kl::formats {

void dequantize_bf16(const std::byte* src, float* dst, size_t n) {
  for (size_t i = 0; i < n; ++i) dst[i] = bf16_to_f32(load_u16(src + 2 * i));
}

void quantize_bf16(const float* src, std::byte* dst, size_t n) {
  for (size_t i = 0; i < n; ++i) store_u16(dst + 2 * i, f32_to_bf16(src[i]));
}

}  // namespace kl::formats
