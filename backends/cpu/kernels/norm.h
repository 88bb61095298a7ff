// RMS norm and layer norm over rows, to float32, to q8 tiles, or both in one pass. Equations and the order of sums: isa/kernels.h (NormArgs).
// Bound     the row is read twice from the first cache; reading x and writing y once from memory.
#pragma once
#include "cpu/kernels/quantize.h"

namespace kl::cpu {
namespace {

constexpr int kSumLanes = 32;  // a function of nothing: the order of a sum depends on K alone

// fn(k, pointer to 32 values): whole groups in place, the rest of a row padded with zeros.
template <class Fn>
KL_INLINE void over_groups(const float* row, size_t k, Fn fn) {
  size_t at = 0;
  for (; at + kSumLanes <= k; at += kSumLanes) fn(at, row + at);
  if (at < k) {
    float padded[kSumLanes] = {};
    for (size_t i = at; i < k; ++i) padded[i - at] = row[i];
    fn(at, static_cast<const float*>(padded));
  }
}

template <class S>
KL_INLINE float add_lanes(const typename S::F (&lanes)[kSumLanes / S::kLanes]) {
  alignas(64) float sums[kSumLanes];
  unroll<kSumLanes / S::kLanes>([&](auto v) KL_ALWAYS_INLINE { S::store(sums + S::kLanes * v, lanes[v]); });
  for (int distance = kSumLanes / 2; distance > 0; distance /= 2) {
    for (int i = 0; i < distance; ++i) sums[i] += sums[i + distance];
  }
  return sums[0];
}

template <class S>
KL_INLINE float sum_of_row(const float* row, size_t k) {
  constexpr int kVectors = kSumLanes / S::kLanes;
  typename S::F lanes[kVectors];
  unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { lanes[v] = S::set(0.0f); });
  over_groups(row, k, [&](size_t, const float* x) KL_ALWAYS_INLINE {
    unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { lanes[v] = lanes[v] + S::load(x + S::kLanes * v); });
  });
  return add_lanes<S>(lanes);
}

// sum (x - mean)^2; a padded place counts nothing, so the last group is cut to K.
template <class S>
KL_INLINE float squares_of_row(const float* row, size_t k, float mean) {
  constexpr int kVectors = kSumLanes / S::kLanes;
  typename S::F lanes[kVectors];
  unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { lanes[v] = S::set(0.0f); });
  over_groups(row, k, [&](size_t at, const float* x) KL_ALWAYS_INLINE {
    alignas(64) float centred[kSumLanes];
    unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { S::store(centred + S::kLanes * v, S::load(x + S::kLanes * v) - S::set(mean)); });
    for (size_t i = k - at; i < kSumLanes; ++i) centred[i] = 0.0f;
    unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE {
      const auto d = S::load(centred + S::kLanes * v);
      lanes[v] = S::fma(d, d, lanes[v]);
    });
  });
  return add_lanes<S>(lanes);
}

template <class S, NormKind kKind>
[[gnu::noinline]] void norm(const NormArgs& args, size_t row_begin, size_t row_end) {
  using F = typename S::F;
  constexpr int kVectors = kSumLanes / S::kLanes;
  const float count = static_cast<float>(args.k);
  for (size_t row = row_begin; row < row_end; ++row) {
    const float* x = args.x + row * args.x_stride;
    float mean = 0.0f;
    if constexpr (kKind == NormKind::layer) mean = sum_of_row<S>(x, args.k) / count;
    const float factor = 1.0f / __builtin_sqrtf(squares_of_row<S>(x, args.k, mean) / count + args.eps);
    float* y = args.y == nullptr ? nullptr : args.y + row * args.y_stride;
    const float* residual = args.residual == nullptr ? nullptr : args.residual + row * args.residual_stride;
    Q8Row q8{};
    if (args.q8 != nullptr) q8 = q8_row(args.q8, row, args.rows, args.k);
    over_groups(x, args.k, [&](size_t at, const float* in) KL_ALWAYS_INLINE {
      const size_t width = args.k - at < kSumLanes ? args.k - at : kSumLanes;
      float gain_copy[kSumLanes], bias_copy[kSumLanes], residual_copy[kSumLanes];
      const auto whole = [&](const float* from, float(&copy)[kSumLanes]) KL_ALWAYS_INLINE -> const float* {
        if (width == kSumLanes) return from + at;
        for (size_t i = 0; i < kSumLanes; ++i) copy[i] = i < width ? from[at + i] : 0.0f;
        return copy;
      };
      const float* gain = args.gain == nullptr ? nullptr : whole(args.gain, gain_copy);
      const float* bias = args.bias == nullptr ? nullptr : whole(args.bias, bias_copy);
      const float* add = residual == nullptr ? nullptr : whole(residual, residual_copy);
      alignas(64) float out[kSumLanes];
      unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE {
        const int i = S::kLanes * v;
        F value = S::load(in + i);
        if constexpr (kKind == NormKind::layer) value = value - S::set(mean);
        value = value * S::set(factor);
        if (kKind == NormKind::layer && bias != nullptr) {
          value = S::fma(value, gain == nullptr ? S::set(1.0f) : S::load(gain + i), S::load(bias + i));
        } else if (gain != nullptr) {
          value = value * S::load(gain + i);
        }
        if (add != nullptr) value = S::load(add + i) + value;
        S::store(out + i, value);
      });
      if (y != nullptr) {
        for (size_t i = 0; i < width; ++i) y[at + i] = out[i];
      }
      if (args.q8 != nullptr) quantize_group<S>(out, q8);
    });
  }
}

}  // namespace
}  // namespace kl::cpu
