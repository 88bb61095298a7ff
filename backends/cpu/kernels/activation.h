// y = act(gate) * up over rows; without up, act(gate). Elementwise; functions and their bounds: simd/math.h.
#pragma once
#include "cpu/isa/kernels.h"
#include "cpu/simd/math.h"

namespace kl::cpu {
namespace {

template <class S>
[[gnu::noinline]] void activate_rows(const ActivateArgs& args, size_t row_begin, size_t row_end) {
  for (size_t row = row_begin; row < row_end; ++row) {
    const float* gate = args.gate + row * args.gate_stride;
    const float* up = args.up == nullptr ? nullptr : args.up + row * args.up_stride;
    float* y = args.y + row * args.y_stride;
    for (size_t at = 0; at < args.width; at += S::kLanes) {
      const size_t width = args.width - at < S::kLanes ? args.width - at : S::kLanes;
      float in[S::kLanes], by[S::kLanes], out[S::kLanes];
      const bool whole = width == S::kLanes;
      if (!whole) {
        for (size_t i = 0; i < S::kLanes; ++i) {
          in[i] = i < width ? gate[at + i] : 0.0f;
          by[i] = i < width && up != nullptr ? up[at + i] : 0.0f;
        }
      }
      auto value = activate<S>(args.activation, S::load(whole ? gate + at : in));
      if (up != nullptr) value = value * S::load(whole ? up + at : by);
      S::store(whole ? y + at : out, value);
      if (!whole) {
        for (size_t i = 0; i < width; ++i) y[at + i] = out[i];
      }
    }
  }
}

}  // namespace
}  // namespace kl::cpu
