// Linear: the loop over panels and tiles, and what follows the sums (bias, activation, gate, residual). Operands and order: isa/kernels.h.
// Panels are the outer loop: a panel stays in cache while all tiles pass; tiles come from the second-level cache at a fraction of its bandwidth.
#pragma once
#include "cpu/kernels/linear_f32.h"
#include "cpu/kernels/linear_q8.h"
#include "cpu/simd/math.h"

namespace kl::cpu {
namespace {

template <class S, class D, class P>
KL_INLINE void q8_panel(const LinearArgs& args, const std::byte* panels, size_t panel, size_t tile, int rows, float* out) {
  const size_t panel_bytes = args.k / (32 * P::kGroups) * (P::kHeaderBytes + P::kGroups * P::kGroupBytes);
  const std::byte* q8 = args.q8 + tile * kTileRows * (args.k / kGroup) * kQ8GroupBytes;
  q8_tile<S, D, P>(panels + panel * panel_bytes, q8, rows, args.k, out);
}

template <class S, class P>
KL_INLINE void f32_panel(const LinearArgs& args, const std::byte* panels, size_t panel, size_t tile, int rows, float* out) {
  f32_tile<S, P>(panels + panel * args.k * 32 * P::kBytes, args.x + tile * kTileRows * args.x_stride, args.x_stride, rows, args.k, out);
}

// The sums of one panel and tile -> out [rows][32].
template <class S, class D>
[[gnu::noinline]] void panel_sums(const LinearArgs& args, const LinearWeight& w, size_t panel, size_t tile, int rows, float* out) {
  switch (w.format) {
    case Format::f32:
      return f32_panel<S, PanelF32>(args, w.panels, panel, tile, rows, out);
    case Format::f16:
      return f32_panel<S, PanelF16>(args, w.panels, panel, tile, rows, out);
    case Format::bf16:
      return f32_panel<S, PanelBf16>(args, w.panels, panel, tile, rows, out);
    case Format::q8_0:
      return q8_panel<S, D, PackedQ8_0>(args, w.panels, panel, tile, rows, out);
    case Format::q4_0:
      return q8_panel<S, D, PackedQ4_0>(args, w.panels, panel, tile, rows, out);
    case Format::q4_1:
      return q8_panel<S, D, PackedQ4_1>(args, w.panels, panel, tile, rows, out);
    case Format::q5_0:
      return q8_panel<S, D, PackedQ5_0>(args, w.panels, panel, tile, rows, out);
    case Format::q5_1:
      return q8_panel<S, D, PackedQ5_1>(args, w.panels, panel, tile, rows, out);
    case Format::q4_k:
      return q8_panel<S, D, PackedQ4K>(args, w.panels, panel, tile, rows, out);
    case Format::q5_k:
      return q8_panel<S, D, PackedQ5K>(args, w.panels, panel, tile, rows, out);
    case Format::q6_k:
      return q8_panel<S, D, PackedQ6K>(args, w.panels, panel, tile, rows, out);
    case Format::iq4_nl:
      return q8_panel<S, D, PackedIq4Nl>(args, w.panels, panel, tile, rows, out);
    case Format::mxfp4:
      return q8_panel<S, D, PackedMxfp4>(args, w.panels, panel, tile, rows, out);
  }
}

// 32 values of a row, of which `outputs` exist.
KL_INLINE const float* whole_row(const float* row, size_t outputs, float (&copy)[kPanelOutputs]) {
  if (outputs == kPanelOutputs) return row;
  for (size_t i = 0; i < kPanelOutputs; ++i) copy[i] = i < outputs ? row[i] : 0.0f;
  return copy;
}

template <class S, class D>
[[gnu::noinline]] void linear(const LinearArgs& args, size_t panel_begin, size_t panel_end, size_t tile_begin, size_t tile_end) {
  using F = typename S::F;
  constexpr int kVectors = kPanelOutputs / S::kLanes;
  alignas(64) float sums[kTileRows * kPanelOutputs], ups[kTileRows * kPanelOutputs];
  float bias_copy[kPanelOutputs], up_bias_copy[kPanelOutputs], residual_copy[kPanelOutputs], y_copy[kPanelOutputs];
  for (size_t panel = panel_begin; panel < panel_end; ++panel) {
    const size_t first = panel * kPanelOutputs;
    const size_t outputs = args.n - first < kPanelOutputs ? args.n - first : kPanelOutputs;
    const float* bias = args.w.bias == nullptr ? nullptr : whole_row(args.w.bias + first, outputs, bias_copy);
    const float* up_bias =
        args.up.panels == nullptr || args.up.bias == nullptr ? nullptr : whole_row(args.up.bias + first, outputs, up_bias_copy);
    for (size_t tile = tile_begin; tile < tile_end; ++tile) {
      const size_t row0 = tile * kTileRows;
      const size_t rows = args.rows - row0 < kTileRows ? args.rows - row0 : kTileRows;
      panel_sums<S, D>(args, args.w, panel, tile, static_cast<int>(rows), sums);
      if (args.up.panels != nullptr) panel_sums<S, D>(args, args.up, panel, tile, static_cast<int>(rows), ups);
      for (size_t r = 0; r < rows; ++r) {
        float* y = args.y + (row0 + r) * args.y_stride + first;
        const float* residual = args.residual == nullptr
                                    ? nullptr
                                    : whole_row(args.residual + (row0 + r) * args.residual_stride + first, outputs, residual_copy);
        float* out = outputs == kPanelOutputs ? y : y_copy;
        for (int v = 0; v < kVectors; ++v) {
          const size_t at = static_cast<size_t>(v) * S::kLanes;
          F value = S::load(sums + r * kPanelOutputs + at);
          if (bias != nullptr) value = value + S::load(bias + at);
          if (args.activation != Activation::none) value = activate<S>(args.activation, value);
          if (args.up.panels != nullptr) {
            F up = S::load(ups + r * kPanelOutputs + at);
            if (up_bias != nullptr) up = up + S::load(up_bias + at);
            value = value * up;
          }
          if (residual != nullptr) value = S::load(residual + at) + value;
          S::store(out + at, value);
        }
        if (out != y) {
          for (size_t i = 0; i < outputs; ++i) y[i] = y_copy[i];
        }
      }
    }
  }
}

}  // namespace
}  // namespace kl::cpu
