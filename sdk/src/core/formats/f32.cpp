// f32: IEEE binary32, little-endian, in blocks of one value.
//   byte 0..3   value
#include "core/formats/rows.h"

namespace kl::formats {

void dequantize_f32(const std::byte* src, float* dst, size_t n) {
  for (size_t i = 0; i < n; ++i) dst[i] = std::bit_cast<float>(load_u32(src + 4 * i));
}

void quantize_f32(const float* src, std::byte* dst, size_t n) {
  for (size_t i = 0; i < n; ++i) store_u32(dst + 4 * i, std::bit_cast<uint32_t>(src[i]));
}

}  // namespace kl::formats
