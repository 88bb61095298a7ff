// A whole encoder as a Program: SigLIP-base over a 512-pixel picture (1,024 rows, width 768, 12 layers, 12 heads of 64, hidden width 3,072), weights
// F16 or Q8_0. of_peak: all its multiply-adds against the measured float32 peak of as many threads.   encoder/FORMAT/THREADS
#include <benchmark/benchmark.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/formats.h"
#include "cpu/device.h"
#include "cpu/roofline.h"
#include "ir/builder.h"
#include "plan/plan.h"

namespace kl::cpu {
namespace {

constexpr uint32_t kRows = 1024, kWidth = 768, kHeads = 12, kHidden = 3072, kLayers = 12, kPatch = 16, kSide = 512;

struct Encoder {
  Program program;
  std::vector<std::vector<std::byte>> weights;  // by WeightId
};

Encoder make_encoder(Format format) {
  Encoder e;
  Builder b;
  std::mt19937 random(1);
  const auto weight = [&](Format as, uint32_t n, uint32_t k, float scale) {
    std::vector<float> row(k);
    for (float& x : row) x = scale * static_cast<float>(static_cast<int32_t>(random())) * 0x1p-31f;
    std::vector<std::byte> bytes(n * row_bytes(as, k));
    for (uint32_t i = 0; i < n; ++i) {
      std::swap(row[random() % k], row[random() % k]);
      quantize_row(as, row.data(), bytes.data() + i * row_bytes(as, k), k);
    }
    e.weights.push_back(std::move(bytes));
    return b.weight({"w" + std::to_string(e.weights.size()), as, n, k});
  };
  const auto matrix = [&](uint32_t n, uint32_t k) { return weight(format, n, k, 0.05f); };
  const auto vector = [&](uint32_t k) { return weight(Format::f32, 1, k, 1.0f); };
  const auto norm = [&](Value x) {
    const WeightId gain = vector(kWidth);
    return b.norm(x, gain, 1e-6f, 1, NormKind::layer, vector(kWidth));
  };
  const auto linear = [&](Value x, uint32_t n, uint32_t k) {
    const WeightId w = matrix(n, k);
    return b.linear(x, w, vector(n));
  };
  const auto residual = [&](Value x, uint32_t k, Value r) {
    const WeightId w = matrix(kWidth, k);
    return b.linear_residual(x, w, r, vector(kWidth));
  };
  Value x = linear(b.patchify({.out = {}, .size = kPatch, .mean = {0.5f, 0.5f, 0.5f}, .deviation = {0.5f, 0.5f, 0.5f}}), kWidth,
                   3 * kPatch * kPatch);
  x = b.add(x, b.gather_rows(weight(Format::f32, kRows, kWidth, 0.1f), 1.0f));
  for (uint32_t layer = 0; layer < kLayers; ++layer) {
    const Value n = norm(x);
    const Value q = linear(n, kWidth, kWidth), k = linear(n, kWidth, kWidth), v = linear(n, kWidth, kWidth);
    const Value mixed = b.dense_attention(
        {.q = q, .k = k, .v = v, .out = {}, .heads = kHeads, .head_size = kWidth / kHeads, .scale = 0.125f, .segmentation = 0});
    x = residual(mixed, kWidth, x);
    x = residual(b.activate(linear(norm(x), kHidden, kWidth), {}, Activation::gelu_tanh), kHidden, x);
  }
  b.program.features = norm(x);
  e.program = std::move(b.program);
  return e;
}

struct Ready {
  Encoder encoder;
  std::unique_ptr<Device> device;
  Plan plan;
  std::vector<std::pair<WeightUse, std::unique_ptr<Memory>>> packed;
  std::unique_ptr<Memory> arena, step, pixels;
  std::unique_ptr<Recording> recording;
};

Status prepare(Ready& r, Format format, uint32_t threads) {
  r.encoder = make_encoder(format);
  KL_ASSIGN(r.device, open_cpu({.threads = threads, .isa = {}, .reference = false}));
  RunConfig config;
  config.rows = kRows;
  config.limits = {kRows, 1, 1, 1, 1, 1, 0, 3 * kSide * kSide};
  KL_ASSIGN(r.plan, make_plan(r.encoder.program, *r.device, config));
  for (const WeightUse& use : r.plan.weights) {
    const WeightInfo& w = r.encoder.program.info(use.weight);
    const uint64_t bytes = r.device->packed_bytes(w, use.layout);
    if (bytes == 0) continue;
    KL_ASSIGN(std::unique_ptr<Memory> memory, r.device->allocate(bytes, MemoryUse::weights));
    KL_TRY(r.device->pack({w, use.layout, r.encoder.weights[use.weight.id], {memory->host(), bytes}}));
    r.packed.emplace_back(use, std::move(memory));
  }
  KL_ASSIGN(r.arena, r.device->allocate(r.plan.arena_bytes, MemoryUse::arena));
  KL_ASSIGN(r.step, r.device->allocate(StepParams::bytes(config.limits), MemoryUse::step_params));
  KL_ASSIGN(r.pixels, r.device->allocate(config.limits.pixel_bytes, MemoryUse::pixels));
  Bindings bindings;
  bindings.arena = r.arena.get();
  bindings.step_params = r.step.get();
  bindings.pixels = r.pixels.get();
  bindings.weight = [&r](const WeightUse& use) -> const std::byte* {
    for (const auto& [each, memory] : r.packed) {
      if (each == use) return memory->host();
    }
    return r.encoder.weights[use.weight.id].data();
  };
  KL_ASSIGN(r.recording, r.device->record(r.plan, bindings));
  const StepParams p(r.step->host(), config.limits);
  p.header() = {kRows, 0, 0, 3 * kSide};
  for (uint32_t i = 0; i < kRows; ++i) {
    constexpr uint32_t kAcross = kSide / kPatch;
    p.tokens()[i] = static_cast<int32_t>(i);
    p.row_range(0)[2 * i] = 0;
    p.row_range(0)[2 * i + 1] = kRows;
    p.row_pixel()[i] = i / kAcross * kPatch * 3 * kSide + i % kAcross * kPatch * 3;
  }
  std::mt19937 random(2);
  for (uint32_t i = 0; i < config.limits.pixel_bytes; ++i) r.pixels->host()[i] = static_cast<std::byte>(random());
  return {};
}

void run(benchmark::State& state, Format format, uint32_t threads) {
  Ready r;
  if (const Status status = prepare(r, format, threads); !status.ok()) return state.SkipWithError(status.message().c_str());
  for (auto _ : state) (void)r.device->submit(*r.recording, 0, r.recording->segments());
  double macs = 0;
  for (const Op& op : r.plan.program.ops) macs += static_cast<double>(cost(r.plan.program, op, kRows, 0, uint64_t{kRows} * kRows).macs);
  const auto roof = measure_roofline(best_isa(), threads, {size_t{8} << 20, 0.5});
  const double all = macs * static_cast<double>(state.iterations());
  state.counters["GMAC/s"] = benchmark::Counter(all * 1e-9, benchmark::Counter::kIsRate);
  if (roof.ok()) state.counters["of_peak"] = benchmark::Counter(all / roof->fma_macs_per_second, benchmark::Counter::kIsRate);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const Format format : {Format::f16, Format::q8_0}) {
    for (const uint32_t threads : {1u, 2u}) {
      auto* one = benchmark::RegisterBenchmark((std::string("encoder/") + name(format) + "/" + std::to_string(threads)).c_str(), run,
                                               format, threads)
                      ->Unit(benchmark::kMillisecond);
      if (threads > 1) one->UseRealTime();
    }
  }
  return true;
}();

}  // namespace
}  // namespace kl::cpu
