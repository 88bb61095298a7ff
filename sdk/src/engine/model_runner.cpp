#include "engine/model_runner.h"

#include <algorithm>
#include <bit>
#include <chrono>

#include "backend/transfer.h"
#include "core/checked.h"
#include "models/family.h"
#include "plan/buckets.h"
#include "plan/plan.h"
#include "weights/weight_store.h"

namespace kl {
namespace {

// Everything about a model that follows from its header and the options.
struct Blueprint {
  DescribedModel model;
  Program program;
  RunConfig config;  // of the largest bucket
  Plan plan;         // likewise: the largest of all plans
  std::vector<KvGroup> groups;
  MemoryEstimate memory;
};

constexpr uint32_t kMaxContext = 1u << 24, kMaxRows = 4096, kMaxOutputs = 4096, kMaxSequences = 1024;

Status check_options(const RunnerOptions& o) {
  const auto within = [](const char* what, uint64_t value, uint64_t min, uint64_t max) {
    return value >= min && value <= max
               ? Status()
               : error(Code::invalid_argument, "%s must be %llu to %llu but is %llu", what, static_cast<unsigned long long>(min),
                       static_cast<unsigned long long>(max), static_cast<unsigned long long>(value));
  };
  KL_TRY(within("context", o.context, 1, kMaxContext));
  KL_TRY(within("kv_tokens", o.kv_tokens, 0, uint64_t{1} << 32));
  KL_TRY(within("max_rows", o.max_rows, 1, kMaxRows));
  KL_TRY(within("max_outputs", o.max_outputs, 1, kMaxOutputs));
  return within("max_sequences", o.max_sequences, 1, kMaxSequences);
}

// A window group's sequence never holds more than its window, the page it enters and the rows of one step.
uint32_t pages_of(const KvGroupSpec& group, const RunnerOptions& o, uint64_t kv_tokens) {
  const uint64_t all = ceil_div(kv_tokens, kKvPageTokens);
  if (group.window == 0) return static_cast<uint32_t>(all);
  const uint64_t each = ceil_div(group.window, kKvPageTokens) + 1 + ceil_div(o.max_rows, kKvPageTokens) + 1;
  return static_cast<uint32_t>(std::min<uint64_t>(all, each * o.max_sequences));
}

uint32_t slot_count(const Device& device) { return device.info().asynchronous ? 2 : 1; }

uint64_t feature_bytes(const Blueprint& b) { return uint64_t{b.config.limits.feature_rows} * b.model.spec.width * sizeof(float); }

Result<Blueprint> draw(const Gguf& file, const Device& device, const RunnerOptions& options) {
  KL_TRY(check_options(options));
  const TensorLookup find = lookup_in(file);
  Blueprint b;
  KL_ASSIGN(b.model, read_model(file.metadata(), find));
  KL_ASSIGN(b.program, describe(b.model, find, options.features));

  // Whole pages for one context, whatever the rounding.
  const uint64_t kv_tokens = std::max<uint64_t>(options.kv_tokens, options.context);
  RunConfig& c = b.config;
  c.activations = options.activations.value_or(device.preferred_activations());
  c.kv = options.kv;
  c.rows = options.max_rows;
  c.outputs = std::min(options.max_outputs, std::max(options.max_rows, options.max_sequences));
  c.limits = {options.max_rows, c.outputs, options.max_sequences, static_cast<uint32_t>(b.model.spec.kv_groups.size()),
              static_cast<uint32_t>(ceil_div(options.context, kKvPageTokens))};
  if (options.features) c.limits.feature_rows = options.max_rows;
  for (const KvGroupSpec& g : b.model.spec.kv_groups) {
    const uint32_t pages = pages_of(g, options, kv_tokens);
    c.kv_pages.push_back(pages);
    b.groups.push_back({g.layers, g.heads, g.head_size, g.window, c.kv});
    const uint64_t page = device.kv_page_bytes({g.heads, g.head_size, g.window, g.layers}, c.kv);
    b.memory.kv += page * pages * g.layers;
    b.memory.kv_per_token += page * g.layers / kKvPageTokens;
  }
  KL_ASSIGN(b.plan, make_plan(b.program, device, c));
  KL_ASSIGN(b.memory.weights, WeightStore::packed_bytes(b.plan.program, b.plan.weights, device));
  b.memory.largest_tensor = WeightStore::largest_source(b.plan.program, b.plan.weights);
  b.memory.weights_mapped = WeightStore::mapped_bytes(b.plan.program, b.plan.weights, device);
  b.memory.workspace =
      b.plan.arena_bytes + feature_bytes(b) + slot_count(device) * (StepParams::bytes(c.limits) + c.limits.outputs * sizeof(int32_t));
  return b;
}

class Runner final : public ModelRunner {
 public:
  Runner(Device& device, const RunnerOptions& options, Blueprint blueprint)
      : device_(device), options_(options), b_(std::move(blueprint)), buckets_(row_buckets(options.max_rows)) {}

  Status start(const std::shared_ptr<const Gguf>& file, const LoadProgress& progress, const LogSink& log) {
    KL_ASSIGN(weights_, WeightStore::load(file, b_.plan.program, b_.plan.weights, device_, {options_.pack_cache_dir, progress, log}));
    KL_ASSIGN(arena_, device_.allocate(b_.plan.arena_bytes, MemoryUse::arena));
    if (arena_->host() == nullptr) {
      logits_.resize(size_t{b_.config.outputs} * b_.model.spec.vocabulary * sizeof(float));
    }
    slots_.resize(slot_count(device_));
    for (uint32_t number = 0; Slot & slot : slots_) {
      slot.number = number++;
      KL_ASSIGN(slot.step_params, device_.allocate(StepParams::bytes(b_.config.limits), MemoryUse::step_params));
      KL_ASSIGN(slot.drawn, device_.allocate(b_.config.limits.outputs * sizeof(int32_t), MemoryUse::drawn));
    }
    if (options_.features) {
      KL_ASSIGN(features_, device_.allocate(feature_bytes(b_), MemoryUse::features));
    }
    for (size_t g = 0; g < b_.groups.size(); ++g) {
      const KvGroup& group = b_.groups[g];
      const uint64_t page = device_.kv_page_bytes({group.kv_heads, group.head_size, group.window, group.layers}, group.format);
      KL_ASSIGN(std::unique_ptr<Memory> pool, device_.allocate(page * b_.config.kv_pages[g] * group.layers, MemoryUse::kv));
      pools_.push_back(std::move(pool));
      page_bytes_.push_back(page);
    }
    const std::string salt = file->identity() + device_.info().backend + name(b_.config.activations);
    KL_ASSIGN(KvCache cache, KvCache::create(b_.groups, b_.config.kv_pages, hash128(std::as_bytes(std::span(salt)))));
    cache_ = std::make_unique<KvCache>(std::move(cache));
    for (size_t bucket = 0; bucket < buckets_.size(); ++bucket) KL_TRY(record(bucket));
    return {};
  }

  const Spec& spec() const override { return b_.model.spec; }
  const RunnerOptions& options() const override { return options_; }
  const MemoryEstimate& memory() const override { return b_.memory; }
  KvCache& cache() override { return *cache_; }

  Result<StepResult> run(const StepBatch& batch) override {
    if (begun_ > 0) return error(Code::busy, "%u steps have not been finished", begun_);
    KL_ASSIGN(Slot* const slot, prepare(batch));
    for (const BlockCopy& copy : batch.copies) KL_TRY(copy_page(copy));
    Recording& recording = *slot->step->recordings[slot->number];
    const uint32_t segments = recording.segments();
    const uint32_t at_once = slot->params(b_.config.limits).header().rows > kCancelRows ? 1 : segments;
    for (uint32_t s = 0; s < segments; s += at_once) {
      if (batch.cancelled && batch.cancelled()) return error(Code::cancelled, "the step was cancelled");
      KL_ASSIGN(const Ticket ticket, device_.submit(recording, s, std::min(segments, s + at_once)));
      KL_TRY(device_.wait(ticket, kStepTimeout));
    }
    return results(*slot);
  }

  bool runs_ahead() const override { return slots_.size() > 1; }

  Status begin(const StepBatch& batch) override {
    if (!runs_ahead()) return error(Code::unsupported, "steps of this device do not run ahead");
    if (begun_ == slots_.size()) return error(Code::busy, "%u steps have not been finished", begun_);
    if (!batch.copies.empty()) return error(Code::invalid_argument, "a step with page copies cannot run ahead");
    KL_ASSIGN(Slot* const slot, prepare(batch));
    Recording& recording = *slot->step->recordings[slot->number];
    KL_ASSIGN(slot->ticket, device_.submit(recording, 0, recording.segments()));
    ++begun_;
    return {};
  }

  Result<StepResult> finish() override {
    if (begun_ == 0) return error(Code::internal, "no step has begun");
    Slot& slot = slots_[first_];
    first_ = (first_ + 1) % slots_.size();
    --begun_;
    KL_TRY(device_.wait(slot.ticket, kStepTimeout));
    return results(slot);
  }

  Cost cost(uint32_t rows, uint32_t outputs, uint64_t cached) const override {
    Cost sum;
    const uint64_t attended = cached * rows + uint64_t{rows} * (rows + 1) / 2;  // each row sees what is cached and the rows before it
    for (const Op& op : b_.program.ops) {
      const OpCost c = kl::cost(b_.program, op, rows, outputs, attended);
      sum.bytes += c.weight_bytes;
      sum.macs += c.macs;
    }
    sum.bytes += b_.memory.kv_per_token * (cached + rows);
    return sum;
  }

  std::string program_text() const override { return to_text(b_.program); }
  std::string plan_text(uint32_t rows) const override {
    const Result<Plan> plan = make_plan(b_.program, device_, config_for(buckets_[bucket_of(buckets_, rows)]));
    return plan.ok() ? to_text(*plan) : plan.status().message();
  }
  std::string support_text() const override { return kl::support_text(b_.plan); }

 private:
  struct Step {
    Plan plan;
    std::vector<std::unique_ptr<Recording>> recordings;  // by slot; of large buckets, which are not run ahead, the first one's alone
  };
  // What a step has to itself while another one is under way. The arena is not part of it: steps run one behind the other.
  struct Slot {
    uint32_t number = 0;
    std::unique_ptr<Memory> step_params, drawn;
    Step* step = nullptr;  // the last one here
    Ticket ticket = 0;
    bool logits = false;
    std::chrono::steady_clock::time_point begin;
    StepParams params(const StepLimits& limits) const { return {step_params->host(), limits}; }
  };
  // Steps of more rows than this are submitted a layer at a time, so that a cancel takes effect within one layer's work.
  static constexpr uint32_t kCancelRows = 8;
  static constexpr std::chrono::milliseconds kStepTimeout{60000};
  static constexpr int32_t kMaxPosition = 1 << 30;

  // The batch, in the slot where it is to run. Nothing has happened on an error.
  Result<Slot*> prepare(const StepBatch& batch) {
    Slot& slot = slots_[begun_ == 0 ? first_ = 0 : (first_ + begun_) % slots_.size()];
    slot.begin = std::chrono::steady_clock::now();
    const StepParams p = slot.params(b_.config.limits);
    KL_TRY(fill(batch, p));
    slot.step = &steps_[bucket_of(buckets_, p.header().rows)];
    if (slot.step->recordings.size() <= slot.number)
      return error(Code::invalid_argument, "a step of %u rows is not run ahead", p.header().rows);
    slot.logits = batch.logits;
    return &slot;
  }

  // What a step that has run left behind.
  Result<StepResult> results(const Slot& slot) {
    const StepParams p = slot.params(b_.config.limits);
    const StepHeader& header = p.header();
    const Plan& plan = slot.step->plan;
    StepResult result;
    result.drawn = {reinterpret_cast<const int32_t*>(slot.drawn->host()), header.outputs};
    bool finite = true;
    for (uint32_t o = 0; o < header.outputs; ++o) finite = finite && (result.drawn[o] >= 0 || p.draws()[o].scale < 0);
    if (slot.logits) {
      KL_ASSIGN(const std::byte* const logits, result_at(plan.value_offset[plan.program.logits.id],
                                                         size_t{header.outputs} * b_.model.spec.vocabulary * sizeof(float), logits_));
      result.logits = {reinterpret_cast<const float*>(logits), size_t{header.outputs} * b_.model.spec.vocabulary};
      finite = finite && all_finite(result.logits);
    }
    if (!finite) {
      return error(Code::internal,
                   "the model's output is not finite at position %d: damaged weights, or a number format too narrow for them",
                   p.row_slot()[p.output_rows()[0]]);
    }
    const auto now = std::chrono::steady_clock::now();
    result.seconds =
        std::chrono::duration<double>(now - std::max(slot.begin, last_end_)).count();  // ahead, it began when the one before had ended
    last_end_ = now;
    return result;
  }

  RunConfig config_for(uint32_t rows) const {
    RunConfig c = b_.config;
    c.rows = rows;
    c.outputs = std::min(c.outputs, std::max(rows, 1u));
    return c;
  }

  // All buckets are recorded when the model is opened: a step allocates nothing on the device.
  Status record(size_t bucket) {
    Step& step = steps_.emplace_back();
    KL_ASSIGN(step.plan, make_plan(b_.program, device_, config_for(buckets_[bucket])));
    if (step.plan.arena_bytes > arena_->bytes()) return error(Code::internal, "a smaller bucket's plan needs a larger arena");
    const bool ahead = bucket <= bucket_of(buckets_, std::min(options_.max_sequences, options_.max_rows));
    for (const Slot& slot : slots_) {
      if (slot.number > 0 && !ahead) break;
      Bindings bindings;
      bindings.arena = arena_.get();
      bindings.step_params = slot.step_params.get();
      bindings.features = features_.get();
      bindings.drawn = slot.drawn.get();
      if (slots_.size() > 1) bindings.fed = slots_[1 - slot.number].drawn.get();
      for (const auto& pool : pools_) bindings.kv.push_back(pool.get());
      bindings.weight = [this](const WeightUse& use) { return weights_->address(use); };
      KL_ASSIGN(step.recordings.emplace_back(), device_.record(step.plan, bindings));
    }
    return {};
  }

  // What a step left in the arena: where it is, or, where the host cannot address it, a copy in `copy`.
  Result<const std::byte*> result_at(uint64_t offset, size_t bytes, std::vector<std::byte>& copy) {
    if (arena_->host() != nullptr) return const_cast<const std::byte*>(arena_->host()) + offset;
    KL_TRY(read_memory(device_, *arena_, offset, std::span(copy).first(bytes)));
    return const_cast<const std::byte*>(copy.data());
  }

  // The batch into StepParams; every number is checked, since it becomes an address on the device.
  Status fill(const StepBatch& batch, const StepParams& p) {
    const StepLimits& limits = p.limits();
    StepHeader header;
    uint32_t feature_rows = 0;
    if (batch.sequences.empty() || batch.sequences.size() > limits.sequences) {
      return error(Code::invalid_argument, "a step takes 1 to %u sequences, not %zu", limits.sequences, batch.sequences.size());
    }
    for (const StepSequence& s : batch.sequences) {
      const uint32_t index = header.sequences;
      if (s.tokens.empty() || s.tokens.size() > limits.rows - header.rows) {
        return error(Code::invalid_argument, "a step takes at most %u rows; sequence %u brings %zu behind %u", limits.rows, index,
                     s.tokens.size(), header.rows);
      }
      if (s.outputs > s.tokens.size() || s.outputs > limits.outputs - header.outputs) {
        return error(Code::invalid_argument, "a step gives at most %u rows of logits; sequence %u asks for %u", limits.outputs, index,
                     s.outputs);
      }
      const auto rows = static_cast<uint32_t>(s.tokens.size());
      p.sequences()[index] = {header.rows, rows, s.first_position, 0};
      KL_TRY(check_fed(s));
      KL_TRY(check_optional("positions", s.positions.size(), rows));
      KL_TRY(check_optional("spans", s.spans.size(), rows));
      KL_TRY(check_optional("features", s.features.size(), options_.features ? rows : 0));
      for (uint32_t r = 0; r < rows; ++r) KL_TRY(fill_row(s, r, header.rows + r, index, p, feature_rows));
      KL_TRY(check_optional("draws", s.draws.size(), s.outputs));
      for (uint32_t o = 0; o < s.outputs; ++o) {
        p.draws()[header.outputs] = s.draws.empty() ? DrawSettings{.scale = -1} : s.draws[o];
        p.output_rows()[header.outputs++] = header.rows + rows - s.outputs + o;
      }
      for (uint32_t g = 0; g < limits.groups; ++g) {
        const std::span<const uint32_t> table = cache_->table(s.cache, g);
        if (table.size() > limits.pages || ceil_div(uint64_t{s.first_position} + rows, kKvPageTokens) > table.size()) {
          return error(Code::internal, "sequence %u has %zu pages for %u tokens", index, table.size(), s.first_position + rows);
        }
        std::copy(table.begin(), table.end(), p.block_table(g, index));
      }
      header.rows += rows;
      header.sequences += 1;
    }
    p.header() = header;
    return {};
  }

  Status check_fed(const StepSequence& s) const {
    if (!s.fed) return {};
    const uint32_t drawn = begun_ == 0 ? 0 : slots_[(first_ + begun_ - 1) % slots_.size()].params(b_.config.limits).header().outputs;
    if (s.tokens.size() == 1 && *s.fed < drawn) return {};
    return error(Code::invalid_argument, "%zu rows take output %u of a step of %u, expected one row", s.tokens.size(), *s.fed, drawn);
  }

  static Status check_optional(const char* what, size_t size, uint32_t rows) {
    if (size == 0 || size == rows) return {};
    return error(Code::invalid_argument, "%zu %s; expected none or %u", size, what, rows);
  }

  // Row `row` of the step: token `r` of the sequence, or the feature row that stands for it.
  Status fill_row(const StepSequence& s, uint32_t r, uint32_t row, uint32_t index, const StepParams& p, uint32_t& feature_rows) {
    const uint32_t slot = s.first_position + r;
    if (!s.features.empty() && s.features[r] != nullptr) {
      const uint64_t bytes = uint64_t{spec().width} * sizeof(float);
      KL_TRY(device_.copy({.to = features_.get(),
                           .to_offset = feature_rows * bytes,
                           .from = nullptr,
                           .from_host = reinterpret_cast<const std::byte*>(s.features[r]),
                           .from_offset = 0,
                           .bytes = bytes}));
      p.tokens()[row] = -1 - static_cast<int32_t>(feature_rows++);
    } else if (s.fed) {
      p.tokens()[row] = kFedToken + static_cast<int32_t>(*s.fed);
    } else if (s.tokens[r] < 0 || static_cast<uint32_t>(s.tokens[r]) >= spec().vocabulary) {
      return error(Code::invalid_argument, "token id %d is outside the vocabulary of %u", s.tokens[r], spec().vocabulary);
    } else {
      p.tokens()[row] = s.tokens[r];
    }
    for (size_t component = 0; component < 3; ++component) {
      const int32_t position = s.positions.empty() ? static_cast<int32_t>(slot) : s.positions[r][component];
      if (position < 0 || position > kMaxPosition)
        return error(Code::invalid_argument, "position %d, expected 0 to %d", position, kMaxPosition);
      p.positions()[3 * row + component] = position;
    }
    const std::array<uint32_t, 2> span = s.spans.empty() ? std::array<uint32_t, 2>{slot, slot + 1} : s.spans[r];
    if (span[0] > slot || span[1] <= slot || span[1] > s.first_position + s.tokens.size()) {
      return error(Code::invalid_argument, "slot %u sees slots %u to %u, expected itself within them and none beyond this step's %zu", slot,
                   span[0], span[1], s.first_position + s.tokens.size());
    }
    p.row_sequence()[row] = index;
    p.row_slot()[row] = static_cast<int32_t>(slot);
    std::copy(span.begin(), span.end(), p.row_span() + size_t{2} * row);
    return {};
  }

  Status copy_page(const BlockCopy& copy) {
    const uint64_t bytes = page_bytes_[copy.group], layer = bytes * b_.config.kv_pages[copy.group];
    Memory* pool = pools_[copy.group].get();
    for (uint32_t l = 0; l < b_.groups[copy.group].layers; ++l) {
      KL_TRY(device_.copy({.to = pool,
                           .to_offset = l * layer + copy.to * bytes,
                           .from = pool,
                           .from_host = nullptr,
                           .from_offset = l * layer + copy.from * bytes,
                           .bytes = bytes}));
    }
    return {};
  }

  static bool all_finite(std::span<const float> x) {
    uint32_t bad = 0;  // integer, so that the compiler makes vector code of it
    for (const float each : x) bad |= (std::bit_cast<uint32_t>(each) & 0x7f800000u) == 0x7f800000u ? 1u : 0u;
    return bad == 0;
  }

  Device& device_;
  RunnerOptions options_;
  Blueprint b_;
  std::vector<uint32_t> buckets_;
  std::unique_ptr<WeightStore> weights_;
  std::unique_ptr<Memory> arena_, features_;
  std::vector<Slot> slots_;         // two where steps run ahead
  uint32_t first_ = 0, begun_ = 0;  // unfinished steps: the slot of the first, how many
  std::chrono::steady_clock::time_point last_end_;
  std::vector<std::byte> logits_;  // a copy, where the host cannot address the arena
  std::vector<std::unique_ptr<Memory>> pools_;
  std::vector<uint64_t> page_bytes_;
  std::unique_ptr<KvCache> cache_;
  std::vector<Step> steps_;  // by bucket
};

}  // namespace

Status ModelRunner::begin(const StepBatch&) { return error(Code::unsupported, "this runner does not run ahead"); }
Result<StepResult> ModelRunner::finish() { return error(Code::internal, "no step has begun"); }

Result<MemoryEstimate> ModelRunner::estimate(const Gguf& file, Device& device, const RunnerOptions& options) {
  KL_ASSIGN(const Blueprint b, draw(file, device, options));
  return b.memory;
}

Result<std::unique_ptr<ModelRunner>> ModelRunner::load(const std::shared_ptr<const Gguf>& file, Device& device,
                                                       const RunnerOptions& options, const LoadProgress& progress, const LogSink& log) {
  KL_ASSIGN(Blueprint b, draw(*file, device, options));
  const MemoryEstimate& m = b.memory;
  if (options.memory_budget != 0 && m.total() > options.memory_budget) {
    return error(Code::out_of_memory,
                 "the model needs %s bytes (weights %s, cache %s for %u tokens of context in %s, workspace %s) but the budget is %s; a "
                 "smaller context or a cache "
                 "of fewer bits (q8, q4) takes less",
                 with_commas(m.total()).c_str(), with_commas(m.weights).c_str(), with_commas(m.kv).c_str(), options.context,
                 name(options.kv), with_commas(m.workspace).c_str(), with_commas(options.memory_budget).c_str());
  }
  auto runner = std::make_unique<Runner>(device, options, std::move(b));
  KL_TRY(runner->start(file, progress, log));
  return std::unique_ptr<ModelRunner>(std::move(runner));
}

}  // namespace kl
