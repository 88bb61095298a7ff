// mxfp4: 32 values in 17 bytes; x[i] = 2^(e - 127) * E2M1(q[i]), computed as kMxfp4DoubleValues[q[i]] * mxfp4_half_scale(e).
//   byte 0       e              u8, exponent of the scale (E8M0)
//   byte 1 + j   bits 0..3 q[j] | bits 4..7 q[j + 16]     j = 0..15
//   q            bit 3 sign | bits 2..1 exponent | bit 0 mantissa: 0, 0.5, 1, 1.5, 2, 3, 4, 6
// OCP Microscaling Formats v1.0; order of the nibbles as ggml stores them.
#include "core/formats/rows.h"

namespace kl::formats {
namespace {
constexpr size_t kValues = 32, kHalf = 16, kBytes = 17;

int nearest(float x) {  // the even code of two equally near (codes 0..7 ascend with magnitude): round half to even, as OCP's text has it
  int best = 0;
  for (int q = 1; q < 8; ++q) {
    const float old_gap = std::fabs(std::fabs(x) - static_cast<float>(kMxfp4DoubleValues[best]));
    const float gap = std::fabs(std::fabs(x) - static_cast<float>(kMxfp4DoubleValues[q]));
    if (gap < old_gap || (gap == old_gap && q % 2 == 0)) best = q;
  }
  return std::signbit(x) ? best + 8 : best;
}
}  // namespace

void dequantize_mxfp4(const std::byte* src, float* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kBytes, dst += kValues) {
    const float d = mxfp4_half_scale(std::to_integer<uint8_t>(src[0]));
    for (size_t j = 0; j < kHalf; ++j) {
      const auto q = std::to_integer<uint32_t>(src[1 + j]);
      dst[j] = static_cast<float>(kMxfp4DoubleValues[q & 15u]) * d;
      dst[j + kHalf] = static_cast<float>(kMxfp4DoubleValues[q >> 4]) * d;
    }
  }
}

// OCP's rule: the scale is the power of two of the largest magnitude, less that of the largest code (4 = 2^2); what then passes 6 becomes 6.
void quantize_mxfp4(const float* src, std::byte* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kValues, dst += kBytes) {
    const float largest = std::fabs(signed_max(src, kValues));
    int e = 0;
    if (largest > 0.0f) {
      e = std::isinf(largest) ? 254 : std::ilogb(largest) - 2 + 127;
      e = e < 0 ? 0 : e;
    }
    const float id = 1.0f / mxfp4_half_scale(static_cast<uint8_t>(e));
    dst[0] = static_cast<std::byte>(e);
    for (size_t j = 0; j < kHalf; ++j) dst[1 + j] = static_cast<std::byte>(nearest(src[j] * id) | (nearest(src[j + kHalf] * id) << 4));
  }
}

}  // namespace kl::formats
