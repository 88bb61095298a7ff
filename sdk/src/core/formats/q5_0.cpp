// q5_0: 32 values in 22 bytes; x[i] = d * (q[i] - 16).
//   byte 0..1    d              f16
//   byte 2..5    h              u32; bit i is bit 4 of q[i], i = 0..31
//   byte 6 + j   bits 0..3 q[j] low | bits 4..7 q[j + 16] low     j = 0..15
#include "core/formats/rows.h"

namespace kl::formats {
namespace {
constexpr size_t kValues = 32, kHalf = 16, kBytes = 22;
}

void dequantize_q5_0(const std::byte* src, float* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kBytes, dst += kValues) {
    const float d = load_f16(src);
    const uint32_t high = load_u32(src + 2);
    for (size_t j = 0; j < kHalf; ++j) {
      const auto low = std::to_integer<uint32_t>(src[6 + j]);
      dst[j] = static_cast<float>(static_cast<int>((low & 15u) | ((high >> j & 1u) << 4)) - 16) * d;
      dst[j + kHalf] = static_cast<float>(static_cast<int>((low >> 4) | ((high >> (j + kHalf) & 1u) << 4)) - 16) * d;
    }
  }
}

// In double for the reason given in q4_0.cpp.
void quantize_q5_0(const float* src, std::byte* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kValues, dst += kBytes) {
    const float d = signed_max(src, kValues) / -16.0f;
    const double id = inverse(d);
    uint32_t high = 0;
    const auto code = [&](size_t i) {
      const int q = truncate_to(static_cast<float>(static_cast<double>(src[i]) * id + 16.5), 0, 31);
      high |= static_cast<uint32_t>(q >> 4) << i;
      return q & 15;
    };
    for (size_t j = 0; j < kHalf; ++j) dst[6 + j] = static_cast<std::byte>(code(j) | (code(j + kHalf) << 4));
    store_u16(dst, f32_to_f16(d));
    store_u32(dst + 2, high);
  }
}

}  // namespace kl::formats
