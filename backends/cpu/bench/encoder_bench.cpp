// The parts of a SigLIP-base layer over a 512-pixel picture: 1,024 rows, width 768, 12 heads of 64, hidden width 3,072, F16 weights and float32 rows.
// One thread. of_peak: share of the measured float32 multiply-add peak of the instruction set.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "cpu/isa/attention_kernels.h"
#include "cpu/isa/isa.h"
#include "cpu/pack/pack.h"
#include "cpu/recording.h"
#include "cpu/roofline.h"

namespace kl::cpu {
namespace {

double peak(Isa isa) {
  static std::vector<double> known(4, 0.0);
  double& at = known[static_cast<size_t>(isa)];
  if (at == 0.0) {
    const auto measured = measure_roofline(isa, 1, {size_t{8} << 20, 0.3});
    at = measured.ok() ? measured->fma_macs_per_second : 1.0;
  }
  return at;
}

void report(benchmark::State& state, Isa isa, double macs) {
  const double all = macs * static_cast<double>(state.iterations());
  state.counters["GMAC/s"] = benchmark::Counter(all * 1e-9, benchmark::Counter::kIsRate);
  state.counters["of_peak"] = benchmark::Counter(all / peak(isa), benchmark::Counter::kIsRate);
}

void dense(benchmark::State& state, Isa isa, uint32_t rows, uint32_t range, uint32_t heads, uint32_t size) {
  const CpuAttentionKernels& kernels = attention_kernels(isa);
  const size_t width = size_t{heads} * size;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> q(rows * width), k(q), v(q), out(q);
  for (auto* each : {&q, &k, &v}) {
    for (float& x : *each) x = normal(random);
  }
  std::vector<float> packed(heads * dense_head_floats(rows, size) + 16);
  std::vector<std::byte> scratch(dense_scratch_bytes(size) + 64);
  const auto aligned = [](void* p) { return reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(p) + 63) / 64 * 64); };
  DenseAttentionArgs a;
  a.q = q.data(), a.k = k.data(), a.v = v.data(), a.out = out.data(), a.stride = width, a.heads = heads, a.head_size = size;
  a.scale = 0.125f, a.packed = reinterpret_cast<float*>(aligned(packed.data())), a.capacity = rows;
  std::vector<RangeTile> tiles;
  for (uint32_t first = 0; first < rows; first += range) {
    const uint32_t end = std::min(rows, first + range);
    for (uint32_t row = first; row < end; row += kDenseTileRows) tiles.push_back({row, std::min(end, row + kDenseTileRows), first, end});
  }
  for (auto _ : state) {
    for (const RangeTile& tile : tiles) {
      for (uint32_t block = 0; block < kDenseTileBlocks; ++block) kernels.dense_pack(a, tile, block);
    }
    for (uint32_t h = 0; h < heads; ++h) {
      for (const RangeTile& tile : tiles) kernels.dense_attention(a, tile, h, aligned(scratch.data()));
    }
    benchmark::ClobberMemory();
  }
  report(state, isa, 2.0 * rows * range * static_cast<double>(width));
}

void linear(benchmark::State& state, Isa isa, Format format, size_t k, size_t n, Activation activation, bool bias) {
  const CpuKernels& kernel = kernels(isa);
  const size_t rows = 1024;
  std::vector<std::byte> memory(packed_bytes(format, n, k) + 64, std::byte{0x11});
  std::vector<float> x(rows * k, 0.37f), y(rows * n), b(n, 0.1f), unpacked(k * 32);
  LinearArgs a;
  a.w = {reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64), format, bias ? b.data() : nullptr};
  a.n = n, a.k = k, a.rows = rows, a.x = x.data(), a.x_stride = k, a.y = y.data(), a.y_stride = n, a.activation = activation;
  for (auto _ : state) {
    for (size_t p = 0; p < panel_count(n); ++p) {  // as ops/stages.cpp runs it
      LinearArgs one = a;
      if (format != Format::f32) {
        kernel.unpack(format, a.w.panels + p * panel_bytes(format, k), k, unpacked.data());
        one.w = {reinterpret_cast<const std::byte*>(unpacked.data()), Format::f32, nullptr};
      } else {
        one.w.panels += p * panel_bytes(format, k);
      }
      one.w.bias = a.w.bias == nullptr ? nullptr : a.w.bias + 32 * p;
      one.n = 32;
      one.y += 32 * p;
      kernel.linear(one, 0, 1, 0, tile_count(rows));
    }
    benchmark::ClobberMemory();
  }
  report(state, isa, static_cast<double>(rows * k * n));
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const Isa isa : kIsas) {
    if (!isa_available(isa) || isa == Isa::generic) continue;
    const std::string tail = std::string("/") + name(isa);
    const auto add = [&](const std::string& title, auto&&... args) {
      benchmark::RegisterBenchmark((title + tail).c_str(), args...)->Unit(benchmark::kMillisecond);
    };
    add("dense/1024/12x64", dense, isa, 1024u, 1024u, 12u, 64u);
    add("dense/1024/16x72", dense, isa, 1024u, 1024u, 16u, 72u);
    add("dense/1024/16x80", dense, isa, 1024u, 1024u, 16u, 80u);
    add("dense/1024/8x128", dense, isa, 1024u, 1024u, 8u, 128u);
    add("windows64/1024/16x80", dense, isa, 1024u, 64u, 16u, 80u);
    add("linear1024/f16/768x768", linear, isa, Format::f16, size_t{768}, size_t{768}, Activation::none, false);
    add("linear1024/f16/768x3072", linear, isa, Format::f16, size_t{768}, size_t{3072}, Activation::none, false);
    add("linear1024/f16/768x3072+bias+gelu", linear, isa, Format::f16, size_t{768}, size_t{3072}, Activation::gelu_tanh, true);
    add("linear1024/f16/3072x768", linear, isa, Format::f16, size_t{3072}, size_t{768}, Activation::none, false);
    add("linear1024/bf16/3072x768", linear, isa, Format::bf16, size_t{3072}, size_t{768}, Activation::none, false);
    add("linear1024/f32/3072x768", linear, isa, Format::f32, size_t{3072}, size_t{768}, Activation::none, false);
  }
  return true;
}();

}  // namespace
}  // namespace kl::cpu
