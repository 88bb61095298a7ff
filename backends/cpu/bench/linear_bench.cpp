// Micro-benchmarks of the linear kernels beside the machine's limits:   bench_cpu_kernels [--benchmark_filter=...]
//   decode/FORMAT/KxN/isa/threads     one row; weights far beyond the caches; GB/s of panels, share of the measured read bandwidth
//   prefill/FORMAT/KxN/isa/threads    512 rows, quantizing included; GMAC/s, share of the measured int8 peak (of the fma peak for float weights)
//   norm/K, quantize/K                nanoseconds per value
#include <benchmark/benchmark.h>

#include <atomic>
#include <barrier>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "cpu/pack/pack.h"
#include "cpu/roofline.h"

namespace kl::cpu {
namespace {

struct Shape {
  size_t k, n;
};

struct Free {
  void operator()(void* p) const { std::free(p); }
};
using Memory = std::unique_ptr<std::byte, Free>;

Memory allocate(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  bytes = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  Memory memory(static_cast<std::byte*>(std::aligned_alloc(kHugePage, bytes)));
#ifdef __linux__
  madvise(memory.get(), bytes, MADV_HUGEPAGE);
#endif
  // Every byte 0x11: codes are 1, f16 scales 5e-4, E8M0 scales 2^-110; nothing overflows or is subnormal for long.
  std::memset(memory.get(), 0x11, bytes);
  return memory;
}

const Roofline& limits(Isa isa, unsigned threads) {
  static std::map<std::pair<Isa, unsigned>, Roofline> known;
  auto [at, fresh] = known.try_emplace({isa, threads});
  if (fresh) {
    auto measured = measure_roofline(isa, threads, {size_t{512} << 20, 0.5});
    if (measured.ok()) at->second = *measured;
  }
  return at->second;
}

// fn(thread) on every thread, started and ended together.
class Team {
 public:
  explicit Team(unsigned threads) : gate_(static_cast<ptrdiff_t>(threads)), threads_(threads) {
    for (unsigned t = 1; t < threads; ++t) {
      team_.emplace_back([this, t] {
        for (;;) {
          gate_.arrive_and_wait();
          if (stop_) return;
          work_(t);
          gate_.arrive_and_wait();
        }
      });
    }
  }
  ~Team() {
    stop_ = true;
    gate_.arrive_and_wait();
    for (std::thread& thread : team_) thread.join();
  }
  void run(std::function<void(unsigned)> work) {
    work_ = std::move(work);
    if (threads_ > 1) gate_.arrive_and_wait();
    work_(0);
    if (threads_ > 1) gate_.arrive_and_wait();
  }

 private:
  std::barrier<> gate_;
  unsigned threads_;
  std::function<void(unsigned)> work_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> team_;
};

void decode(benchmark::State& state, Format format, Shape shape, Isa isa, unsigned threads, size_t rows) {
  const CpuKernels& kernel = kernels(isa);
  const size_t one = packed_bytes(format, shape.n, shape.k);
  const size_t copies = ((size_t{256} << 20) + one - 1) / one;  // as many matrices as exceed the caches
  const Memory weights = allocate(one * copies), q8 = allocate(q8_bytes(rows, shape.k));
  std::vector<float> x(rows * shape.k, 0.37f), y(rows * shape.n);
  LinearArgs args;
  args.w.format = format;
  args.n = shape.n, args.k = shape.k, args.rows = rows;
  args.q8 = q8.get(), args.x = x.data(), args.x_stride = shape.k, args.y = y.data(), args.y_stride = shape.n;
  Team team(threads);
  size_t at = 0;
  for (auto _ : state) {
    args.w.panels = weights.get() + at * one;
    at = at + 1 == copies ? 0 : at + 1;
    if (reads_q8(format)) kernel.quantize({x.data(), shape.k, rows, shape.k, q8.get()}, 0, rows);
    const size_t panels = panel_count(shape.n);
    team.run([&](unsigned t) { kernel.linear(args, panels * t / threads, panels * (t + 1) / threads, 0, tile_count(rows)); });
  }
  const double bytes = static_cast<double>(one) * static_cast<double>(state.iterations());
  state.counters["GB/s"] = benchmark::Counter(bytes * 1e-9, benchmark::Counter::kIsRate);
  state.counters["of_read"] = benchmark::Counter(bytes / limits(isa, threads).read_bytes_per_second, benchmark::Counter::kIsRate);
}

void prefill(benchmark::State& state, Format format, Shape shape, Isa isa, unsigned threads) {
  const CpuKernels& kernel = kernels(isa);
  const size_t rows = 512;
  const Memory weights = allocate(packed_bytes(format, shape.n, shape.k)), q8 = allocate(q8_bytes(rows, shape.k));
  std::vector<float> x(rows * shape.k, 0.37f), y(rows * shape.n);
  LinearArgs args;
  args.w = {weights.get(), format, nullptr};
  args.n = shape.n, args.k = shape.k, args.rows = rows;
  args.q8 = q8.get(), args.x = x.data(), args.x_stride = shape.k, args.y = y.data(), args.y_stride = shape.n;
  Team team(threads);
  for (auto _ : state) {
    if (reads_q8(format)) {
      team.run([&](unsigned t) {
        kernel.quantize({x.data(), shape.k, rows, shape.k, q8.get()}, rows * t / threads, rows * (t + 1) / threads);
      });
    }
    const size_t panels = panel_count(shape.n);
    team.run([&](unsigned t) { kernel.linear(args, panels * t / threads, panels * (t + 1) / threads, 0, tile_count(rows)); });
  }
  const double macs = static_cast<double>(rows * shape.n * shape.k) * static_cast<double>(state.iterations());
  const Roofline& roof = limits(isa, threads);
  state.counters["GMAC/s"] = benchmark::Counter(macs * 1e-9, benchmark::Counter::kIsRate);
  state.counters["of_peak"] =
      benchmark::Counter(macs / (reads_q8(format) ? roof.dot_macs_per_second : roof.fma_macs_per_second), benchmark::Counter::kIsRate);
}

void row_kernel(benchmark::State& state, Isa isa, size_t k, bool norm) {
  std::vector<float> x(k, 0.37f), gain(k, 1.0f);
  const Memory q8 = allocate(q8_bytes(1, k));
  NormArgs args;
  args.x = x.data(), args.x_stride = k, args.gain = gain.data(), args.rows = 1, args.k = k, args.q8 = q8.get(), args.eps = 1e-5f;
  for (auto _ : state) {
    if (norm) {
      kernels(isa).rms_norm(args, 0, 1);
    } else {
      kernels(isa).quantize({x.data(), k, 1, k, q8.get()}, 0, 1);
    }
    benchmark::ClobberMemory();
  }
  state.counters["ns_per_value"] = benchmark::Counter(static_cast<double>(k) * static_cast<double>(state.iterations()) * 1e-9,
                                                      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void register_all() {
  constexpr Shape kShapes[] = {{576, 576}, {576, 1536}, {1536, 576}, {576, 49152}, {2048, 2048}, {2048, 8192}, {8192, 2048}};
  for (const Isa isa : kIsas) {
    if (!isa_available(isa)) continue;
    for (const unsigned threads : {1u, 2u}) {
      for (const FormatInfo& format : kFormats) {
        for (const Shape shape : kShapes) {
          if (shape.k % format.block_elements != 0) continue;
          const std::string tail = std::string("/") + format.name + "/" + std::to_string(shape.k) + "x" + std::to_string(shape.n) + "/" +
                                   name(isa) + "/" + std::to_string(threads);
          for (const size_t rows : {1, 2, 4, 8}) {
            const std::string title = rows == 1 ? "decode" + tail : "rows" + std::to_string(rows) + tail;
            benchmark::RegisterBenchmark(title.c_str(), decode, format.format, shape, isa, threads, rows)->UseRealTime();
          }
          benchmark::RegisterBenchmark(("prefill" + tail).c_str(), prefill, format.format, shape, isa, threads)->UseRealTime();
        }
      }
    }
    for (const size_t k : {576, 2048}) {
      const std::string tail = "/" + std::to_string(k) + "/" + name(isa);
      benchmark::RegisterBenchmark(("norm" + tail).c_str(), row_kernel, isa, k, true);
      benchmark::RegisterBenchmark(("quantize" + tail).c_str(), row_kernel, isa, k, false);
    }
  }
}

}  // namespace
}  // namespace kl::cpu

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  kl::cpu::register_all();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
