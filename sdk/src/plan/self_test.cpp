#include "plan/self_test.h"

#include <cmath>
#include <cstring>

#include "backend/transfer.h"
#include "core/formats.h"
#include "ir/builder.h"
#include "plan/plan.h"

namespace kl {
namespace {

constexpr uint32_t kWidth = 256, kHeads = 4, kKvHeads = 2, kHeadSize = 64, kFfn = 256, kVocabulary = 96;
constexpr uint32_t kRows = 9;     // more than one activation tile and no multiple of one
constexpr uint32_t kFewRows = 3;  // a bucket that other kernels take: those of decode
constexpr double kDistance =
    3e-2;  // max|a-b| / max|b|: a code of int8 moved by the last bit of a norm stays below; a wrong kernel is of order 1

struct Probe {
  Program program;
  std::vector<std::vector<std::byte>> weights;
};

// Numbers that any machine makes alike: a linear congruential generator, uniform in [-1, 1).
class Numbers {
 public:
  float next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(static_cast<int32_t>(state_ >> 32)) * 0x1p-31f;
  }

 private:
  uint64_t state_ = 1;
};

// A head over norm and selected rows; with whole_layer a decoder layer before it.
Probe make_probe(Format format, bool whole_layer) {
  Probe probe;
  Builder b;
  Numbers numbers;
  b.program.kv_groups.push_back({kKvHeads, kHeadSize, 0, 1});
  const auto weight = [&](uint32_t n, uint32_t k, Format as, float scale) {
    std::vector<float> values(size_t{n} * k);
    for (float& v : values) v = numbers.next() * scale;
    std::vector<std::byte> bytes(n * row_bytes(as, k));
    quantize_row(as, values.data(), bytes.data(), values.size());
    probe.weights.push_back(std::move(bytes));
    return b.weight({"probe", as, n, k});
  };
  const auto matrix = [&](uint32_t n, uint32_t k) { return weight(n, k, format, 0.1f); };
  const auto gain = [&](uint32_t k) { return weight(1, k, Format::f32, 1.0f); };

  Value x = b.gather_rows(weight(kRows, kWidth, Format::f32, 1.0f), 1.0f);
  if (whole_layer) {
    RopeSpec rope;
    rope.dims = kHeadSize;
    const Value q = b.norm_qkv_rope({.x = x,
                                     .out = {},
                                     .gain = gain(kWidth),
                                     .eps = 1e-5f,
                                     .wq = matrix(kHeads * kHeadSize, kWidth),
                                     .wk = matrix(kKvHeads * kHeadSize, kWidth),
                                     .wv = matrix(kKvHeads * kHeadSize, kWidth),
                                     .bq = {},
                                     .bk = {},
                                     .bv = {},
                                     .q_gain = {},
                                     .k_gain = {},
                                     .heads = kHeads,
                                     .kv_heads = kKvHeads,
                                     .head_size = kHeadSize,
                                     .rope = rope,
                                     .cache = {0, 0}});
    const Value mixed = b.attention({.q = q,
                                     .out = {},
                                     .cache = {0, 0},
                                     .heads = kHeads,
                                     .kv_heads = kKvHeads,
                                     .head_size = kHeadSize,
                                     .scale = 0.125f,
                                     .window = 0,
                                     .cap = 0,
                                     .sinks = {}});
    x = b.linear_residual(mixed, matrix(kWidth, kHeads * kHeadSize), x);
    const Value hidden = b.norm_gate_up(x, gain(kWidth), 1e-5f, matrix(kFfn, kWidth), matrix(kFfn, kWidth), Activation::silu);
    x = b.linear_residual(hidden, matrix(kWidth, kFfn), x);
  }
  b.program.logits = b.select_norm_head(x, gain(kWidth), 1e-5f, matrix(kVocabulary, kWidth));
  probe.program = std::move(b.program);
  return probe;
}

// Logits of the probe's first rows, in a bucket of as many.
Result<std::vector<float>> run(Device& device, const Probe& probe, ActivationFormat activations, KvFormat kv, uint32_t rows) {
  RunConfig config;
  config.activations = activations;
  config.kv = kv;
  config.rows = config.outputs = rows;
  config.limits = {kRows, kRows, 1, 1, 1};
  config.kv_pages = {1};
  KL_ASSIGN(const Plan plan, make_plan(probe.program, device, config));
  KL_ASSIGN(std::unique_ptr<Memory> arena, device.allocate(plan.arena_bytes, MemoryUse::arena));
  KL_ASSIGN(std::unique_ptr<Memory> step, device.allocate(StepParams::bytes(config.limits), MemoryUse::step_params));
  KL_ASSIGN(std::unique_ptr<Memory> pool, device.allocate(device.kv_page_bytes(probe.program.kv_groups[0], kv), MemoryUse::kv));
  std::vector<std::pair<WeightUse, std::unique_ptr<Memory>>> packed;
  for (const WeightUse& use : plan.weights) {
    const WeightInfo& w = probe.program.info(use.weight);
    const uint64_t bytes = device.packed_bytes(w, use.layout);
    if (bytes == 0) continue;
    KL_ASSIGN(std::unique_ptr<Memory> memory, device.allocate(bytes, MemoryUse::weights));
    std::vector<std::byte> bytes_packed(bytes);
    KL_TRY(device.pack({w, use.layout, probe.weights[use.weight.id], bytes_packed}));
    KL_TRY(write_memory(device, *memory, 0, bytes_packed));
    packed.emplace_back(use, std::move(memory));
  }
  Bindings bindings;
  bindings.arena = arena.get();
  bindings.step_params = step.get();
  bindings.kv = {pool.get()};
  bindings.weight = [&](const WeightUse& use) -> WeightAddress {
    for (const auto& [each, memory] : packed) {
      if (each == use) return {memory.get(), 0};
    }
    return probe.weights[use.weight.id].data();
  };
  KL_ASSIGN(std::unique_ptr<Recording> recording, device.record(plan, bindings));

  const StepParams p(step->host(), config.limits);
  p.header() = {rows, rows, 1, 0};
  p.sequences()[0] = {0, rows, 0, 0};
  p.block_table(0, 0)[0] = 0;
  for (uint32_t r = 0; r < rows; ++r) {
    p.tokens()[r] = p.row_slot()[r] = static_cast<int32_t>(r);
    p.output_rows()[r] = r;
    p.row_sequence()[r] = 0;
    p.row_span()[2 * r] = r;
    p.row_span()[2 * r + 1] = r + 1;
    for (uint32_t c = 0; c < 3; ++c) p.positions()[3 * r + c] = static_cast<int32_t>(r);
  }
  KL_ASSIGN(const Ticket ticket, device.submit(*recording, 0, recording->segments()));
  KL_TRY(device.wait(ticket, std::chrono::milliseconds(10000)));
  std::vector<float> logits(size_t{rows} * kVocabulary);
  KL_TRY(read_memory(device, *arena, plan.value_offset[plan.program.logits.id], std::as_writable_bytes(std::span(logits))));
  return logits;
}

Status test_one(Device& device, Device& reference, const Probe& probe, const char* format, ActivationFormat activations) {
  const KvFormat kv = device.preferred_kv();
  const char* name = device.info().name.c_str();
  KL_ASSIGN(const std::vector<float> got, run(device, probe, activations, kv, kRows));
  KL_ASSIGN(const std::vector<float> wanted, run(reference, probe, activations, kv, kRows));
  double difference = 0, most = 0;
  bool number = true;
  for (size_t i = 0; i < wanted.size(); ++i) {
    difference = std::max(difference, std::fabs(static_cast<double>(got[i]) - static_cast<double>(wanted[i])));
    most = std::max(most, std::fabs(static_cast<double>(wanted[i])));
    number = number && !std::isnan(got[i]);
  }
  if (!number || difference > kDistance * most) {
    return error(Code::device_lost, "%s computes wrong with %s weights: off by %g of the largest value, at most %g is rounding", name,
                 format, number && most > 0 ? difference / most : 1.0, kDistance);
  }
  if (!device.info().one_kernel_class) return {};
  KL_ASSIGN(const std::vector<float> few, run(device, probe, activations, kv, kFewRows));
  if (std::memcmp(few.data(), got.data(), few.size() * sizeof(float)) != 0)
    return error(Code::device_lost, "%s computes wrong with %s weights: a row has other bits in a step of %u rows than in one of %u", name,
                 format, kFewRows, kRows);
  return {};
}

}  // namespace

Status self_test(Device& device, Device& reference) {
  const ActivationFormat preferred = device.preferred_activations();
  for (const FormatInfo& format : kFormats) {
    const bool whole_layer = format.format == Format::q4_0;
    const Probe probe = make_probe(format.format, whole_layer);
    KL_TRY(test_one(device, reference, probe, format.name, preferred));
    if (!whole_layer) continue;
    // The formats that an app may ask for instead: other kernels, once.
    for (const ActivationFormat other : {ActivationFormat::f32, ActivationFormat::f16, ActivationFormat::q8}) {
      if (other != preferred) KL_TRY(test_one(device, reference, probe, format.name, other));
    }
  }
  return {};
}

}  // namespace kl
