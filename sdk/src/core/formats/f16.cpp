// f16: IEEE binary16, little-endian, in blocks of one value.
//   bit 15 sign | 14..10 exponent (bias 15) | 9..0 fraction
#include "core/formats/rows.h"

namespace kl::formats {

void dequantize_f16(const std::byte* src, float* dst, size_t n) {
  for (size_t i = 0; i < n; ++i) dst[i] = load_f16(src + 2 * i);
}

void quantize_f16(const float* src, std::byte* dst, size_t n) {
  for (size_t i = 0; i < n; ++i) store_u16(dst + 2 * i, f32_to_f16(src[i]));
}

}  // namespace kl::formats
