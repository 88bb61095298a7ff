// q4_0: 32 values in 18 bytes; x[i] = d * (q[i] - 8).
//   byte 0..1    d              f16
//   byte 2 + j   bits 0..3 q[j] | bits 4..7 q[j + 16]     j = 0..15
#include "core/formats/rows.h"

namespace kl::formats {
namespace {
constexpr size_t kValues = 32, kHalf = 16, kBytes = 18;
}

void dequantize_q4_0(const std::byte* src, float* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kBytes, dst += kValues) {
    const float d = load_f16(src);
    for (size_t j = 0; j < kHalf; ++j) {
      const int q = std::to_integer<int>(src[2 + j]);
      dst[j] = static_cast<float>((q & 15) - 8) * d;
      dst[j + kHalf] = static_cast<float>((q >> 4) - 8) * d;
    }
  }
}

// The value of largest magnitude becomes code 0 exactly (-8 d). The product and sum are formed in double and rounded to float once: what
// ggml's compiled code does on processors with fma, and gguf-py imitates.
void quantize_q4_0(const float* src, std::byte* dst, size_t n) {
  for (size_t b = 0; b < n / kValues; ++b, src += kValues, dst += kBytes) {
    const float d = signed_max(src, kValues) / -8.0f;
    const double id = inverse(d);
    store_u16(dst, f32_to_f16(d));
    const auto code = [&](size_t i) { return truncate_to(static_cast<float>(static_cast<double>(src[i]) * id + 8.5), 0, 15); };
    for (size_t j = 0; j < kHalf; ++j) dst[2 + j] = static_cast<std::byte>(code(j) | (code(j + kHalf) << 4));
  }
}

}  // namespace kl::formats
