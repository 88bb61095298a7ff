// Attention of one layer over the cache: decode at a depth, prefill of 512 rows; heads of SmolLM2-135M (9 query heads, 3 KV heads, D = 64) and of
// Llama-3.2-1B (32, 8, 64). One thread. Counters: pairs = query-key pairs a second (2 D multiply-adds each), bytes = cache bytes read a second.
#include <benchmark/benchmark.h>

#include <numeric>
#include <random>
#include <vector>

#include "cpu/isa/attention_kernels.h"
#include "cpu/isa/isa.h"

namespace kl::cpu {
namespace {

const CpuAttentionKernels& best() {
  if (isa_available(Isa::avx512)) return *attention_kernels_avx512();
  if (isa_available(Isa::avx2)) return *attention_kernels_avx2();
  if (isa_available(Isa::neon)) return *attention_kernels_neon();
  return *attention_kernels_generic();
}

// rows, depth before them, query heads, KV heads, format
void run(benchmark::State& state) {
  const auto rows = static_cast<uint32_t>(state.range(0)), depth = static_cast<uint32_t>(state.range(1));
  const auto heads = static_cast<uint32_t>(state.range(2)), kv_heads = static_cast<uint32_t>(state.range(3)), size = 64u;
  const KvPageShape shape{static_cast<KvFormat>(state.range(4)), size, kv_heads};
  const CpuAttentionKernels& kernels = best();
  const uint32_t length = rows + depth, pages = (length + 31) / 32;
  const size_t page_bytes = kv_page_layout(shape).page_bytes;
  std::vector<std::byte> memory(pages * page_bytes + 64), room(attention_scratch_bytes(shape, heads) + 64);
  const auto aligned = [](std::vector<std::byte>& m) { return m.data() + (64 - reinterpret_cast<uintptr_t>(m.data()) % 64) % 64; };
  std::vector<uint32_t> table(pages);
  std::iota(table.begin(), table.end(), 0u);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  const size_t kv_width = size_t{kv_heads} * size, q_width = size_t{heads} * size;
  std::vector<float> k(length * kv_width), v(length * kv_width), q(rows * q_width), out(rows * q_width);
  for (float& x : k) x = normal(random);
  for (float& x : v) x = normal(random);
  for (float& x : q) x = normal(random);
  std::vector<int32_t> all(length), positions(rows);
  std::iota(all.begin(), all.end(), 0);
  std::iota(positions.begin(), positions.end(), static_cast<int32_t>(depth));
  kernels.kv_write({aligned(memory), shape}, table.data(), all.data(), k.data(), v.data(), kv_width, length);
  AttentionArgs a;
  a.q = q.data();
  a.q_stride = a.out_stride = q_width;
  a.out = out.data();
  a.positions = positions.data();
  a.pages = table.data();
  a.cache = {aligned(memory), shape};
  a.heads = heads;
  a.scale = 0.125f;
  for (auto _ : state) {
    for (uint32_t g = 0; g < kv_heads; ++g) kernels.attention(a, 0, rows, g, aligned(room));
    benchmark::ClobberMemory();
  }
  const double pairs = (static_cast<double>(rows) * depth + 0.5 * rows * (rows + 1)) * heads;
  state.counters["pairs"] = benchmark::Counter(pairs, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["bytes"] = benchmark::Counter(static_cast<double>(pages * page_bytes), benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel(std::string(kernels.name) + " " + name(shape.format));
}
BENCHMARK(run)
    ->Name("attention")
    ->ArgNames({"rows", "depth", "H", "G", "format"})
    ->ArgsProduct({{1}, {512, 4096}, {9}, {3}, {1, 2, 3}})
    ->ArgsProduct({{1}, {4096}, {32}, {8}, {1, 2, 3}})
    ->ArgsProduct({{512}, {0}, {9}, {3}, {1, 2, 3}})
    ->Unit(benchmark::kMicrosecond);

void write(benchmark::State& state) {
  const KvPageShape shape{static_cast<KvFormat>(state.range(0)), 64, 3};
  const uint32_t rows = 512;
  std::vector<std::byte> memory(16 * kv_page_layout(shape).page_bytes + 64);
  std::byte* base = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
  std::vector<uint32_t> table(16);
  std::iota(table.begin(), table.end(), 0u);
  std::vector<int32_t> positions(rows);
  std::iota(positions.begin(), positions.end(), 0);
  std::vector<float> k(rows * 192);
  for (size_t i = 0; i < k.size(); ++i) k[i] = static_cast<float>(i % 97) - 48.0f;
  for (auto _ : state) {
    best().kv_write({base, shape}, table.data(), positions.data(), k.data(), k.data(), 192, rows);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(write)->Name("kv_write")->ArgName("format")->DenseRange(0, 3)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace kl::cpu
