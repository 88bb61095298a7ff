#include "core/formats.h"
#include "core/formats/rows.h"

namespace kl {
namespace {

struct Rows {
  void (*dequantize)(const std::byte* src, float* dst, size_t n);
  void (*quantize)(const float* src, std::byte* dst, size_t n);
};

constexpr Rows rows(Format format) {
  using namespace formats;  // NOLINT(google-build-using-namespace)
  switch (format) {
    case Format::f32:
      return {dequantize_f32, quantize_f32};
    case Format::f16:
      return {dequantize_f16, quantize_f16};
    case Format::bf16:
      return {dequantize_bf16, quantize_bf16};
    case Format::q8_0:
      return {dequantize_q8_0, quantize_q8_0};
    case Format::q4_0:
      return {dequantize_q4_0, quantize_q4_0};
    case Format::q4_1:
      return {dequantize_q4_1, quantize_q4_1};
    case Format::q5_0:
      return {dequantize_q5_0, quantize_q5_0};
    case Format::q5_1:
      return {dequantize_q5_1, quantize_q5_1};
    case Format::q4_k:
      return {dequantize_q4_k, quantize_q4_k};
    case Format::q5_k:
      return {dequantize_q5_k, quantize_q5_k};
    case Format::q6_k:
      return {dequantize_q6_k, quantize_q6_k};
    case Format::iq4_nl:
      return {dequantize_iq4_nl, quantize_iq4_nl};
    case Format::mxfp4:
      return {dequantize_mxfp4, quantize_mxfp4};
  }
  return {nullptr, nullptr};
}

}  // namespace

void dequantize_row(Format format, const std::byte* src, float* dst, size_t n) { rows(format).dequantize(src, dst, n); }
void quantize_row(Format format, const float* src, std::byte* dst, size_t n) { rows(format).quantize(src, dst, n); }

}  // namespace kl
