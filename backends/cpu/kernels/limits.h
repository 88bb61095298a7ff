// Loops that do nothing but read, multiply bytes or multiply floats: the machine's limits, to divide measured speeds by (roofline.h).
#pragma once
#include "cpu/isa/kernels.h"
#include "cpu/simd/common.h"

namespace kl::cpu {
namespace {

// Every line once, in ascending order, by whole-vector loads.
template <class S, class D>
[[gnu::noinline]] uint64_t read_bytes(const std::byte* data, size_t bytes) {
  constexpr size_t kStep = 256, kVector = sizeof(typename D::Codes);
  auto all = D::load(data);
  for (size_t at = 0; at + kStep <= bytes; at += kStep) {
    unroll<kStep / kVector>([&](auto v) KL_ALWAYS_INLINE { all = D::either(all, D::load(data + at + kVector * v)); });
    keep_order();
  }
  uint64_t word;
  __builtin_memcpy(&word, &all, 8);
  return word;
}

// As many independent sums as hide the latency: 12 of the kernels' own dots per step.
template <class S, class D>
[[gnu::noinline]] uint64_t dot_peak(size_t rounds, float* sink) {
  constexpr int kSums = 12;
  alignas(64) std::byte bytes[256];
  for (int i = 0; i < 256; ++i) bytes[i] = static_cast<std::byte>(i & 7);  // sums that differ, or the compiler keeps only one
  typename D::Sum sums[kSums];
  unroll<kSums>([&](auto i) KL_ALWAYS_INLINE {
    sums[i] = D::template add<15>(D::template start<15>(i), D::load(bytes), D::load_four(bytes + 4 * i));
  });
  typename D::Codes codes[4];
  typename D::Four four[3];
  for (size_t round = 0; round < rounds; ++round) {
    // Twelve different pairs from few loads: products that repeat would be computed once where a dot is two instructions.
    asm volatile("" : "+m"(bytes));
    unroll<4>([&](auto i) KL_ALWAYS_INLINE { codes[i] = D::load(bytes + 64 * i); });
    unroll<3>([&](auto i) KL_ALWAYS_INLINE { four[i] = D::load_four(bytes + 4 * i); });
    unroll<kSums>([&](auto i) KL_ALWAYS_INLINE { sums[i] = D::template add<15>(sums[i], codes[i % 4], four[i % 3]); });
  }
  auto total = S::set(0.0f);
  unroll<kSums>([&](auto i) KL_ALWAYS_INLINE { total = total + S::to_float(D::template finish<15>(sums[i], 0)); });
  S::store(sink, total);
  return static_cast<uint64_t>(rounds) * kSums * sizeof(typename D::Codes);
}

template <class S>
[[gnu::noinline]] uint64_t fma_peak(size_t rounds, float* sink) {
  constexpr int kSums = 12;
  typename S::F sums[kSums];
  unroll<kSums>([&](auto i) KL_ALWAYS_INLINE { sums[i] = S::set(static_cast<float>(i)); });
  const auto a = S::set(sink[0]), b = S::set(sink[1]);
  for (size_t round = 0; round < rounds; ++round) {
    unroll<kSums>([&](auto i) KL_ALWAYS_INLINE { sums[i] = S::fma(sums[i], a, b); });
    unroll<kSums>([&](auto i) KL_ALWAYS_INLINE { sums[i] = S::fma(sums[i], a, b); });
  }
  auto total = S::set(0.0f);
  unroll<kSums>([&](auto i) KL_ALWAYS_INLINE { total = total + sums[i]; });
  S::store(sink, total);
  return static_cast<uint64_t>(rounds) * 2 * kSums * S::kLanes;
}

}  // namespace
}  // namespace kl::cpu
