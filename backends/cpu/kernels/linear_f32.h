// Linear over float weights and float32 activations:  sum[t][n] = sum_k w[n][k] x[t][k], for a panel of 32 outputs and 1 to 6 rows.
//
// Layouts   panel [K][32] of f32, f16 or bf16; x row-major.
// Order     lanes hold outputs; C = fma(w, x, C) in ascending K, from 0. The same for every instruction set and number of rows.
// Bounds    1 row: panel bytes / read bandwidth. 6 rows: the fma peak.
#pragma once
#include "cpu/isa/kernels.h"
#include "cpu/simd/common.h"

namespace kl::cpu {
namespace {

struct PanelF32 {
  static constexpr int kBytes = 4;
  template <class S>
  KL_INLINE typename S::F load(const std::byte* p) {
    return S::load(reinterpret_cast<const float*>(p));
  }
};
struct PanelF16 {
  static constexpr int kBytes = 2;
  template <class S>
  KL_INLINE typename S::F load(const std::byte* p) {
    return S::load_f16(p);
  }
};
struct PanelBf16 {
  static constexpr int kBytes = 2;
  template <class S>
  KL_INLINE typename S::F load(const std::byte* p) {
    return S::load_bf16(p);
  }
};

template <class S, class P, int kRows>
[[gnu::noinline]] void f32_rows(const std::byte* panel, const float* x, size_t x_stride, size_t k, float* out) {
  constexpr int kVectors = 32 / S::kLanes;
  typename S::F c[kVectors][kRows];
  unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { unroll<kRows>([&](auto r) KL_ALWAYS_INLINE { c[v][r] = S::set(0.0f); }); });
  for (size_t i = 0; i < k; ++i, panel += 32 * P::kBytes) {
    typename S::F in[kRows];
    unroll<kRows>([&](auto r) KL_ALWAYS_INLINE { in[r] = S::set(x[r * x_stride + i]); });
    keep_order();
    unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE {
      const auto w = P::template load<S>(panel + S::kLanes * P::kBytes * v);
      unroll<kRows>([&](auto r) KL_ALWAYS_INLINE { c[v][r] = S::fma(w, in[r], c[v][r]); });
    });
  }
  unroll<kRows>([&](auto r) KL_ALWAYS_INLINE {
    unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { S::store(out + 32 * r + S::kLanes * v, c[v][r]); });
  });
}

// 1 to 6 rows -> out [rows][32], in blocks whose sums fit the registers: 6 rows of 2 vectors, 3 of 4 (AVX2), 2 of 8 (NEON, generic).
template <class S, class P>
KL_INLINE void f32_tile(const std::byte* panel, const float* x, size_t x_stride, int rows, size_t k, float* out) {
  constexpr int kRows = S::kLanes == 16 ? 6 : S::kLanes == 8 ? 3 : 2;
  int r = 0;
  for (; r + kRows <= rows; r += kRows) f32_rows<S, P, kRows>(panel, x + r * x_stride, x_stride, k, out + 32 * r);
  if constexpr (kRows > 2) {
    for (; r + 2 <= rows; r += 2) f32_rows<S, P, 2>(panel, x + r * x_stride, x_stride, k, out + 32 * r);
  }
  for (; r < rows; ++r) f32_rows<S, P, 1>(panel, x + r * x_stride, x_stride, k, out + 32 * r);
}

}  // namespace
}  // namespace kl::cpu
