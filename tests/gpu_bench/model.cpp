#include "gpu_bench/model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "backend/kv_page.h"
#include "backend/transfer.h"
#include "core/checked.h"
#include "core/formats.h"
#include "models/family.h"
#include "plan/buckets.h"
#include "plan/plan.h"

namespace kl::gpu_bench {
namespace {

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// The tensors a file of this shape would have.
TensorLookup lookup(const Shape& s, const Setting& setting) {
  return [s, setting](std::string_view name) -> std::optional<SourceTensor> {
    const auto matrix = [](Format f, uint64_t n, uint64_t k) { return SourceTensor{f, 2, {k, n, 1, 1}}; };
    const auto vector = [](uint64_t k) { return SourceTensor{Format::f32, 1, {k, 1, 1, 1}}; };
    const uint64_t q = uint64_t{s.heads} * s.head_size, kv = uint64_t{s.kv_heads} * s.head_size;
    const std::pair<const char*, SourceTensor> layer[] = {
        {"attn_q.weight", matrix(setting.weights, q, s.width)},
        {"attn_k.weight", matrix(setting.weights, kv, s.width)},
        {"attn_v.weight", matrix(setting.weights, kv, s.width)},
        {"attn_output.weight", matrix(setting.weights, s.width, q)},
        {"ffn_gate.weight", matrix(setting.weights, s.ffn, s.width)},
        {"ffn_up.weight", matrix(setting.weights, s.ffn, s.width)},
        {"ffn_down.weight", matrix(setting.weights, s.width, s.ffn)},
        {"attn_norm.weight", vector(s.width)},
        {"ffn_norm.weight", vector(s.width)},
        {"attn_q_norm.weight", vector(s.head_size)},
        {"attn_k_norm.weight", vector(s.head_size)},
    };
    if (name == "token_embd.weight" || (name == "output.weight" && !s.tied)) return matrix(setting.head, s.vocabulary, s.width);
    if (name == "output_norm.weight") return vector(s.width);
    for (const auto& [end, tensor] : layer) {
      if (ends_with(name, std::string(".") + end)) return tensor;
    }
    return std::nullopt;
  };
}

Result<Program> program_of(const Shape& shape, const Setting& setting) {
  DescribedModel model;
  for (const Family* family : families()) {
    if (std::string_view(family->architecture) == shape.family) model.family = family;
  }
  if (model.family == nullptr) return error(Code::unsupported, "no family %s", shape.family);
  Spec& s = model.spec;
  s.architecture = shape.family;
  s.layers = shape.layers;
  s.width = shape.width;
  s.ffn = shape.ffn;
  s.heads = shape.heads;
  s.kv_heads = shape.kv_heads;
  s.head_size = shape.head_size;
  s.vocabulary = shape.vocabulary;
  s.trained_context = setting.depth + setting.prompt;
  s.attention_scale = 1.0f / std::sqrt(static_cast<float>(shape.head_size));
  s.tied_head = shape.tied;
  s.head_norm = std::string_view(shape.family) == "qwen3";
  RopeSpec rope;
  rope.style = s.head_norm ? RopeStyle::halves : RopeStyle::neighbours;
  rope.dims = shape.head_size;
  rope.base = 500000.0f;
  assign_layers(s, rope, [](uint32_t) { return 0u; });
  return describe(model, lookup(shape, setting), false);
}

class StepRunner final : public Runner {
 public:
  StepRunner(Device& device, Program program, const Setting& setting) : device_(device), program_(std::move(program)), setting_(setting) {}

  Status start() {
    RunConfig& c = config_;
    c.kv = setting_.kv;
    c.limits.rows = std::max(setting_.step_rows, setting_.batch);
    c.limits.outputs = setting_.batch;
    c.limits.sequences = setting_.batch;
    c.limits.groups = static_cast<uint32_t>(program_.kv_groups.size());
    c.limits.pages = static_cast<uint32_t>(ceil_div(uint64_t{setting_.depth} + setting_.prompt, kKvPageTokens)) + 1;
    c.kv_pages.assign(program_.kv_groups.size(), c.limits.pages * setting_.batch);
    buckets_ = row_buckets(c.limits.rows);
    KL_ASSIGN(const Plan largest, plan(c.limits.rows));
    uint64_t arena = largest.arena_bytes;
    for (const uint32_t bucket : buckets_) {
      KL_ASSIGN(const Plan each, plan(bucket));
      arena = std::max(arena, each.arena_bytes);
    }
    KL_ASSIGN(arena_, device_.allocate(arena, MemoryUse::arena));
    for (Slot& slot : slots_) {
      KL_ASSIGN(slot.step, device_.allocate(StepParams::bytes(c.limits), MemoryUse::step_params));
      KL_ASSIGN(slot.drawn, device_.allocate(c.limits.outputs * sizeof(int32_t), MemoryUse::drawn));
    }
    for (size_t g = 0; g < program_.kv_groups.size(); ++g) {
      const KvGroupInfo& group = program_.kv_groups[g];
      KL_ASSIGN(auto pool, device_.allocate(device_.kv_page_bytes(group, c.kv) * c.kv_pages[g] * group.layers, MemoryUse::kv));
      KL_TRY(repeat(*pool, 0, std::vector<std::byte>(4096, std::byte{0x11}), pool->bytes()));  // small numbers in every format
      pools_.push_back(std::move(pool));
      kv_bytes_ += kv_row_bytes(group) * group.layers;
    }
    return {};
  }

  Result<double> step(uint32_t sequences, uint32_t rows, uint32_t depth, uint32_t repeats) override {
    KL_ASSIGN(Recorded* const recorded, recording(sequences * rows));
    Recording& recording = *recorded->recordings[0];
    fill(0, sequences, rows, depth, false);
    double best = std::numeric_limits<double>::infinity();
    for (uint32_t i = 0; i <= repeats; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      KL_ASSIGN(const Ticket ticket, device_.submit(recording, 0, recording.segments()));
      KL_TRY(device_.wait(ticket, std::chrono::minutes(1)));
      const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      if (i > 0) best = std::min(best, took);
    }
    return best;
  }

  // As the engine decodes (docs/design/0007-steps-ahead.md): a step is submitted while the one before runs, and takes its tokens from there.
  Result<double> decode(uint32_t sequences, uint32_t depth, uint32_t repeats) override {
    KL_ASSIGN(Recorded* const recorded, recording(sequences));
    Ticket tickets[2] = {};
    auto begin = std::chrono::steady_clock::now();
    for (uint32_t i = 0; i <= repeats + 1; ++i) {
      if (i <= repeats) {
        fill(i % 2, sequences, 1, depth, i > 0);
        Recording& recording = *recorded->recordings[i % 2];
        KL_ASSIGN(tickets[i % 2], device_.submit(recording, 0, recording.segments()));
      }
      if (i == 0) continue;
      KL_TRY(device_.wait(tickets[(i - 1) % 2], std::chrono::minutes(1)));
      if (i == 1)
        begin = std::chrono::steady_clock::
            now();  // the first step has ended: the next ones follow without a gap, or with the one that there is
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / repeats;
  }

  uint64_t weight_bytes() const override { return weight_bytes_; }
  uint64_t kv_bytes_per_token() const override { return kv_bytes_; }

  Result<uint32_t> launches(uint32_t sequences) override {
    KL_ASSIGN(const Plan p, plan(bucket(sequences)));
    uint32_t count = 0;
    for (const PlannedOp& op : p.ops) count += static_cast<uint32_t>(op.support.stages.size());
    return count;
  }

 private:
  struct Recorded {
    Plan plan;
    std::vector<std::unique_ptr<Recording>> recordings;  // by slot; of prompts the first one's alone
  };

  uint32_t bucket(uint32_t rows) const { return buckets_[bucket_of(buckets_, rows)]; }
  Result<Plan> plan(uint32_t rows) const {
    RunConfig c = config_;
    c.rows = rows;
    c.outputs = std::min(rows, c.limits.outputs);
    return make_plan(program_, device_, c);
  }
  // Bytes of a token in a layer: a page's, but for what pads it.
  uint64_t kv_row_bytes(const KvGroupInfo& g) const { return device_.kv_page_bytes(g, config_.kv) / kKvPageTokens; }

  // `bytes` bytes at `offset`: the pattern again and again, doubled on the device.
  Status repeat(Memory& to, uint64_t offset, const std::vector<std::byte>& pattern, uint64_t bytes) {
    uint64_t have = std::min<uint64_t>(pattern.size(), bytes);
    KL_TRY(write_memory(device_, to, offset, std::span(pattern).first(have)));
    while (have < bytes) {
      const uint64_t more = std::min(have, bytes - have);
      CopyRequest request;
      request.to = &to;
      request.to_offset = offset + have;
      request.from = &to;
      request.from_offset = offset;
      request.bytes = more;
      KL_TRY(device_.copy(request));
      have += more;
    }
    return {};
  }

  // Random weights: some rows made and packed here, and repeated on the device. Values around 1 / sqrt(K), so that layers keep their size.
  Status make_weight(const WeightUse& use) {
    for (const auto& [each, memory] : weights_) {
      if (each == use) return {};
    }
    const WeightInfo& w = program_.info(use.weight);
    const uint64_t bytes = device_.packed_bytes(w, use.layout);
    KL_ASSIGN(auto memory, device_.allocate(bytes, MemoryUse::weights));
    std::vector<std::byte>& packed =
        patterns_[std::string(name(w.format)) + " " + use.layout + " " + std::to_string(w.k) + " " + std::to_string(w.n == 1)];
    if (packed.empty()) KL_TRY(make_pattern(w, use.layout, packed));
    KL_TRY(repeat(*memory, 0, packed, bytes));
    weights_.emplace_back(use, std::move(memory));
    return {};
  }

  // Up to 64 random rows of a weight, packed.
  Status make_pattern(const WeightInfo& w, const std::string& layout, std::vector<std::byte>& packed) {
    WeightInfo part = w;
    part.n = std::min<uint32_t>(w.n, 64);
    std::mt19937 random(w.k);
    std::vector<float> values(size_t{part.n} * part.k);
    const float size = 1.7f / std::sqrt(static_cast<float>(w.k));
    for (float& v : values) v = w.n == 1 ? 1.0f : size * (static_cast<float>(random() % 65536) / 32768.0f - 1.0f);
    std::vector<std::byte> rows(part.n * row_bytes(w.format, w.k));
    packed.resize(device_.packed_bytes(part, layout));
    quantize_row(w.format, values.data(), rows.data(), values.size());
    return device_.pack({part, layout, rows, packed});
  }

  Result<Recorded*> recording(uint32_t rows) {
    Recorded& r = recorded_[bucket(rows)];
    if (!r.recordings.empty()) return &r;
    KL_ASSIGN(r.plan, plan(bucket(rows)));
    for (const WeightUse& use : r.plan.weights) KL_TRY(make_weight(use));
    weight_bytes_ = 0;
    std::vector<WeightUse> read;
    for (const PlannedOp& op : r.plan.ops) {
      if (std::holds_alternative<GatherRows>(op.op)) continue;
      for (const WeightUse& use : op.support.weights) {
        if (std::find(read.begin(), read.end(), use) != read.end()) continue;
        read.push_back(use);
        weight_bytes_ += device_.packed_bytes(program_.info(use.weight), use.layout);
      }
    }
    std::vector<std::unique_ptr<Recording>> recordings;
    for (uint32_t slot = 0; slot < (bucket(rows) <= bucket(setting_.batch) ? 2 : 1); ++slot) {
      KL_ASSIGN(recordings.emplace_back(), record(r.plan, slot));
    }
    r.recordings = std::move(recordings);
    return &r;
  }

  Result<std::unique_ptr<Recording>> record(const Plan& plan, uint32_t slot) {
    Bindings b;
    b.arena = arena_.get();
    b.step_params = slots_[slot].step.get();
    b.drawn = slots_[slot].drawn.get();
    b.fed = slots_[1 - slot].drawn.get();
    for (const auto& pool : pools_) b.kv.push_back(pool.get());
    b.weight = [this](const WeightUse& use) -> WeightAddress {
      for (const auto& [each, memory] : weights_) {
        if (each == use) return {memory.get(), 0};
      }
      return {};
    };
    return device_.record(plan, b);
  }

  void fill(uint32_t slot_number, uint32_t sequences, uint32_t rows, uint32_t depth, bool fed) {
    const StepParams p(slots_[slot_number].step->host(), config_.limits);
    const uint32_t pages = config_.limits.pages;
    for (uint32_t s = 0; s < sequences; ++s) {
      for (uint32_t r = 0; r < rows; ++r) {
        const uint32_t row = s * rows + r, slot = depth + r;
        p.tokens()[row] = fed ? kFedToken + static_cast<int32_t>(s) : static_cast<int32_t>(row * 13 % 61);
        for (uint32_t i = 0; i < 3; ++i) p.positions()[3 * row + i] = static_cast<int32_t>(slot);
        p.row_sequence()[row] = s;
        p.row_slot()[row] = static_cast<int32_t>(slot);
        p.row_span()[2 * row] = slot;
        p.row_span()[2 * row + 1] = slot + 1;
      }
      p.output_rows()[s] = s * rows + rows - 1;
      p.sequences()[s] = {s * rows, rows, depth, 0};
      for (uint32_t g = 0; g < config_.limits.groups; ++g) {
        for (uint32_t i = 0; i < pages; ++i) p.block_table(g, s)[i] = s * pages + i;
      }
    }
    p.header() = {sequences * rows, sequences, sequences, 0};
  }

  Device& device_;
  Program program_;
  Setting setting_;
  RunConfig config_;
  std::vector<uint32_t> buckets_;
  std::unique_ptr<Memory> arena_;
  struct Slot {
    std::unique_ptr<Memory> step, drawn;
  };
  Slot slots_[2];
  std::vector<std::unique_ptr<Memory>> pools_;
  std::vector<std::pair<WeightUse, std::unique_ptr<Memory>>> weights_;
  std::map<uint32_t, Recorded> recorded_;
  std::map<std::string, std::vector<std::byte>> patterns_;
  uint64_t weight_bytes_ = 0, kv_bytes_ = 0;
};

}  // namespace

Result<std::unique_ptr<Runner>> make_runner(Device& device, Program program, const Setting& setting) {
  auto runner = std::make_unique<StepRunner>(device, std::move(program), setting);
  KL_TRY(runner->start());
  return std::unique_ptr<Runner>(std::move(runner));
}

Result<std::unique_ptr<Runner>> make_runner(Device& device, const Shape& shape, const Setting& setting) {
  KL_ASSIGN(Program program, program_of(shape, setting));
  return make_runner(device, std::move(program), setting);
}

Status measure(Runner& runner, const Setting& setting, uint32_t repeats, ModelResult& out) {
  KL_ASSIGN(out.launches, runner.launches(1));
  std::vector<uint32_t> batches = {1}, depths = {0};
  if (setting.batch > 1) batches.push_back(setting.batch);
  if (setting.depth > 0) depths.push_back(setting.depth);
  for (const uint32_t depth : depths) {
    for (const uint32_t batch : batches) {
      KL_ASSIGN(const double alone, runner.step(batch, 1, depth, repeats));
      KL_ASSIGN(const double seconds, runner.decode(batch, depth, repeats));
      const double bytes = static_cast<double>(runner.weight_bytes() + runner.kv_bytes_per_token() * depth * batch);
      out.decode.push_back({batch, depth, seconds, batch / seconds, bytes / seconds, alone});
    }
  }
  out.weight_bytes = runner.weight_bytes();
  double whole = 0;  // of the prompt, step after step
  uint32_t done = 0;
  while (done < setting.prompt) {
    const uint32_t rows = std::min(setting.step_rows, setting.prompt - done);
    KL_ASSIGN(const double seconds, runner.step(1, rows, done, std::max(1u, repeats / 4)));
    whole += seconds;
    done += rows;
  }
  out.prefill.push_back({1, 0, whole, done / whole, 0, 0});
  return {};
}

ModelResult measure(Device& device, const Shape& shape, const Setting& setting, uint32_t repeats) {
  ModelResult out;
  out.name = shape.name;
  auto runner = make_runner(device, shape, setting);
  Status status = runner.status();
  if (runner.ok()) status = measure(**runner, setting, repeats, out);
  if (!status.ok()) out.not_run = status.message();
  return out;
}

}  // namespace kl::gpu_bench
