// A model runner without a model: rows are written to pages and read back through the block tables, and the logits are a function of what was read. Whatever the
// scheduler does wrong with pages, copies, positions or tokens changes the tokens that come out. Failures and pauses are injected by a hook.
#pragma once
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "engine/c_api.h"
#include "engine/engine.h"

namespace kl::fake {

inline constexpr uint32_t kVocabulary = 512;  // as stories260K
inline constexpr int32_t kEnd = 2;            // likewise

inline uint64_t mix(uint64_t hash, uint64_t value) {
  hash ^= value + 0x9E3779B97F4A7C15ull + (hash << 6) + (hash >> 2);
  hash *= 0xFF51AFD7ED558CCDull;
  return hash ^ (hash >> 33);
}
inline float logit(uint64_t content, uint32_t token) {
  if (token < 3) return -20;  // unknown, begin and end do not come up by chance
  return static_cast<float>(mix(content, token) % 10007) * 0.001f;
}
inline int32_t best(uint64_t content) {
  uint32_t at = 0;
  for (uint32_t v = 1; v < kVocabulary; ++v) at = logit(content, v) > logit(content, at) ? v : at;
  return static_cast<int32_t>(at);
}
inline uint64_t content_of(const std::vector<uint64_t>& slots) {
  uint64_t hash = 1;
  for (const uint64_t s : slots) hash = mix(hash, s);
  return hash;
}
inline uint64_t content_of(const std::vector<int32_t>& tokens) { return content_of(std::vector<uint64_t>(tokens.begin(), tokens.end())); }
// The greedy continuation that any correct scheduling gives, of slots as slot_value makes them.
inline std::vector<int32_t> continuation_of(std::vector<uint64_t> slots, size_t count) {
  std::vector<int32_t> out;
  for (size_t i = 0; i < count; ++i) {
    out.push_back(best(content_of(slots)));
    slots.push_back(static_cast<uint64_t>(out.back()));
  }
  return out;
}
inline std::vector<int32_t> continuation(const std::vector<int32_t>& tokens, size_t count) {
  return continuation_of({tokens.begin(), tokens.end()}, count);
}

inline constexpr uint32_t kWidth = 64;  // as stories260K

// What a row leaves in the cache: a token itself; a feature row the hash of its values; besides, where they are not the usual ones, its position components
// and what it sees both ways.
inline uint64_t slot_value(int32_t token, const float* feature, uint32_t slot, std::array<int32_t, 3> position,
                           std::array<uint32_t, 2> span) {
  auto value = static_cast<uint64_t>(token);
  if (feature) {
    value = 77;
    for (uint32_t i = 0; i < kWidth; ++i) value = mix(value, std::bit_cast<uint32_t>(feature[i]));
  }
  const auto plain = static_cast<int32_t>(slot);
  if (position != std::array<int32_t, 3>{plain, plain, plain}) {
    for (const int32_t p : position) value = mix(value, static_cast<uint64_t>(p));
  }
  if (span != std::array<uint32_t, 2>{slot, slot + 1}) value = mix(mix(value, span[0]), span[1]);
  return value;
}

// For suites that run both ways (RunsAhead).
inline bool runs_ahead_by_default = false;

// Shared by the tests and the runner on the scheduler thread.
struct Control {
  std::mutex mutex;
  std::function<Status(const StepBatch&)> before_step;  // on the scheduler thread, in front of every step
  std::function<Status(const StepBatch&)> after_step;   // likewise, when one has been computed
  std::atomic<uint64_t> steps = 0, rows = 0, largest_batch = 0, cancelled_asked = 0;
  std::atomic<bool> ahead =
      runs_ahead_by_default;  // as on a device that works beside the host: what was begun is computed when it is waited for
  std::atomic<uint64_t> steps_ahead = 0;
  std::atomic<uint64_t> ends_at = 0;  // a cache of so many rows is followed by the end token; 0: none is
  std::atomic<int> runners = 0;
  std::atomic<int> segments = 1;  // how often a step asks whether it was cancelled
  // Of models loaded from here on.
  bool grid_positions = false, bidirectional = false;
  uint32_t side = 8, merge = 2;  // of a tile; patches are 1 pixel
  const char* placeholder = "<image>";
  // Encoders.
  std::function<Status()> before_segment;  // on the scheduler thread
  std::atomic<uint64_t> tiles = 0, segments_run = 0;
  std::atomic<uint32_t> tile_segments = 4;
  std::atomic<int> encoders = 0;
  // Devices.
  std::atomic<int> spares = 0;                                            // that follow the first, one after the other, when it is lost
  std::function<Status(const Device&, const LoadProgress&)> before_load;  // on the scheduler thread, in front of every load
  std::atomic<uint64_t> loads = 0;

  void set_load(std::function<Status(const Device&, const LoadProgress&)> hook) {
    const std::lock_guard lock(mutex);
    before_load = std::move(hook);
  }

  void set_encode(std::function<Status()> hook) {
    const std::lock_guard lock(mutex);
    before_segment = std::move(hook);
  }

  void set_after(std::function<Status(const StepBatch&)> hook) {
    const std::lock_guard lock(mutex);
    after_step = std::move(hook);
  }

  void set(std::function<Status(const StepBatch&)> hook) {
    const std::lock_guard lock(mutex);
    before_step = std::move(hook);
  }
};

class FakeRunner : public ModelRunner {
 public:
  FakeRunner(std::shared_ptr<Control> control, RunnerOptions options, KvCache cache)
      : control_(std::move(control)), options_(std::move(options)), cache_(std::move(cache)) {
    spec_.vocabulary = kVocabulary;
    spec_.width = kWidth;
    spec_.grid_positions = control_->grid_positions;
    spec_.bidirectional_images = control_->bidirectional;
    memory_.weights = 1000;
    pages_.resize(cache_.pool(0).capacity());
    ++control_->runners;
  }
  ~FakeRunner() override { --control_->runners; }
  const Spec& spec() const override { return spec_; }
  const RunnerOptions& options() const override { return options_; }
  const MemoryEstimate& memory() const override { return memory_; }
  KvCache& cache() override { return cache_; }

  Result<StepResult> run(const StepBatch& batch) override {
    if (!begun_.empty()) return error(Code::internal, "a step behind one that was not finished");
    KL_TRY(ask(batch));
    for (int i = 0; i < control_->segments.load(); ++i) {
      ++control_->cancelled_asked;
      if (batch.cancelled && batch.cancelled()) return error(Code::cancelled, "the step was cancelled");
    }
    for (const BlockCopy& copy : batch.copies) pages_[copy.to] = pages_[copy.from];
    KL_ASSIGN(const Begun step, take_up(batch));
    return compute(step);
  }

  bool runs_ahead() const override { return control_->ahead.load(); }
  Status begin(const StepBatch& batch) override {
    if (begun_.size() > 1 || !batch.copies.empty()) return error(Code::internal, "a step that cannot run ahead");
    KL_TRY(ask(batch));
    KL_ASSIGN(Begun step, take_up(batch));
    if (!begun_.empty()) ++control_->steps_ahead;
    begun_.push_back(std::move(step));
    return {};
  }
  Result<StepResult> finish() override {
    if (begun_.empty()) return error(Code::internal, "no step has begun");
    const Begun step = std::move(begun_.front());
    begun_.erase(begun_.begin());
    return compute(step);
  }

  Cost cost(uint32_t rows, uint32_t, uint64_t cached) const override { return {100 + cached, 10 * uint64_t{rows}}; }
  std::string program_text() const override { return "fake program"; }
  std::string plan_text(uint32_t rows) const override { return "fake plan of " + std::to_string(rows); }
  std::string support_text() const override { return "fake support"; }

 private:
  // What a device would have been given: tokens and tables as they were then. What the batch views stays, as begin() says.
  struct Begun {
    StepBatch batch;
    std::vector<std::vector<uint32_t>> tables;  // [sequences]
  };

  Status ask(const StepBatch& batch) {
    std::function<Status(const StepBatch&)> hook;
    {
      const std::lock_guard lock(control_->mutex);
      hook = control_->before_step;
    }
    return hook ? hook(batch) : Status();
  }

  Result<Begun> take_up(const StepBatch& batch) {
    Begun step{batch, {}};
    for (const StepSequence& s : batch.sequences) {
      uint32_t length = cache_.length(s.cache);
      for (const Begun& before : begun_) {
        for (const StepSequence& b : before.batch.sequences) length += b.cache == s.cache ? static_cast<uint32_t>(b.tokens.size()) : 0;
        if (s.fed && (*s.fed >= before.batch.sequences.size() || before.batch.sequences[*s.fed].cache != s.cache))
          return error(Code::internal, "a token of another sequence");
      }
      if (s.first_position != length) return error(Code::internal, "rows at position %u of a cache of %u", s.first_position, length);
      if (s.fed.has_value() == begun_.empty())
        return error(Code::internal, "a step ahead takes its tokens from the one before, and no other does");
      const auto table = cache_.table(s.cache, 0);
      step.tables.emplace_back(table.begin(), table.end());
    }
    return step;
  }

  Result<StepResult> compute(const Begun& step) {
    const StepBatch& batch = step.batch;
    const std::vector<int32_t> fed = drawn_;
    logits_.clear();
    drawn_.clear();
    uint64_t rows = 0;
    for (size_t q = 0; q < batch.sequences.size(); ++q) {
      const StepSequence& s = batch.sequences[q];
      const std::vector<uint32_t>& table = step.tables[q];
      const auto fits = [&](size_t n) { return n == 0 || n == s.tokens.size(); };
      if (!fits(s.positions.size()) || !fits(s.spans.size()) || !fits(s.features.size()) || (!s.features.empty() && !options_.features))
        return error(Code::internal, "row data of %zu, %zu and %zu rows", s.positions.size(), s.spans.size(), s.features.size());
      for (size_t i = 0; i < s.tokens.size(); ++i) {
        const auto slot = static_cast<uint32_t>(s.first_position + i);
        const auto plain = static_cast<int32_t>(slot);
        const auto span = s.spans.empty() ? std::array<uint32_t, 2>{slot, slot + 1} : s.spans[i];
        if (span[0] > slot || span[1] <= slot || span[1] > s.first_position + s.tokens.size())
          return error(Code::internal, "slot %u sees %u to %u", slot, span[0], span[1]);
        pages_[table[slot / kKvPageTokens]][slot % kKvPageTokens] =
            slot_value(s.fed ? fed[*s.fed] : s.tokens[i], s.features.empty() ? nullptr : s.features[i], slot,
                       s.positions.empty() ? std::array<int32_t, 3>{plain, plain, plain} : s.positions[i], span);
      }
      rows += s.tokens.size();
      const size_t outputs_before = drawn_.size();
      for (size_t length = s.first_position + s.tokens.size() - s.outputs + 1; length <= s.first_position + s.tokens.size(); ++length) {
        uint64_t content = 1;
        for (size_t p = 0; p < length; ++p) content = mix(content, pages_[table[p / kKvPageTokens]][p % kKvPageTokens]);
        for (uint32_t v = 0; v < kVocabulary; ++v) logits_.push_back(logit(content, v));
        const DrawSettings draw = s.draws.empty() ? DrawSettings{.scale = -1} : s.draws[drawn_.size() - outputs_before];
        const std::span<const float> row = std::span(logits_).last(kVocabulary);
        const int32_t highest = length == control_->ends_at.load() ? kEnd : best(content);
        drawn_.push_back(draw.scale < 0 ? -1 : draw.scale == 0 ? highest : kl::draw(row, row[static_cast<size_t>(highest)], draw));
      }
    }
    ++control_->steps;
    control_->rows += rows;
    if (batch.sequences.size() > control_->largest_batch.load()) control_->largest_batch = batch.sequences.size();
    std::function<Status(const StepBatch&)> hook;
    {
      const std::lock_guard lock(control_->mutex);
      hook = control_->after_step;
    }
    if (hook) KL_TRY(hook(batch));
    return StepResult{
        .logits = batch.logits ? std::span<const float>(logits_) : std::span<const float>(), .drawn = drawn_, .seconds = 0.001};
  }

  std::shared_ptr<Control> control_;
  RunnerOptions options_;
  KvCache cache_;
  Spec spec_;
  MemoryEstimate memory_;
  std::vector<std::array<uint64_t, kKvPageTokens>> pages_;
  std::vector<float> logits_;
  std::vector<int32_t> drawn_;
  std::vector<Begun> begun_;
};

// Feature values: a function of the pixels of the row's patches.
inline std::vector<float> fake_rows(const Picture& tile, uint32_t merge) {
  const uint32_t columns = tile.width / merge;
  std::vector<float> out;
  for (uint32_t r = 0; r < columns * (tile.height / merge); ++r) {
    uint64_t hash = 5;
    for (uint32_t y = 0; y < merge; ++y) {
      for (uint32_t x = 0; x < merge; ++x) {
        for (uint32_t c = 0; c < 3; ++c)
          hash = mix(hash, tile.rgb[3 * (size_t{r / columns * merge + y} * tile.width + r % columns * merge + x) + c]);
      }
    }
    for (uint32_t i = 0; i < kWidth; ++i) out.push_back(static_cast<float>(mix(hash, i) % 1000) * 0.001f);
  }
  return out;
}

class FakeEncoder : public EncoderRunner {
 public:
  FakeEncoder(std::shared_ptr<Control> control, const Device& device)
      : control_(std::move(control)), identity_("fake encoder on " + device.info().backend) {
    spec_.projector = "fake";
    spec_.feature_width = kWidth;
    spec_.merge = control_->merge;
    spec_.text.placeholder = control_->placeholder;
    spec_.text.before = "(";
    spec_.text.after = ")";
    spec_.text.bare_before = "[";
    spec_.text.bare_after = "]";
    preprocess_.image_size = control_->side;
    preprocess_.patch = 1;
    preprocess_.merge = control_->merge;
    memory_.weights = 500;
    ++control_->encoders;
  }
  ~FakeEncoder() override { --control_->encoders; }
  const VisionSpec& spec() const override { return spec_; }
  const PreprocessSpec& preprocess() const override { return preprocess_; }
  const MemoryEstimate& memory() const override { return memory_; }
  const std::string& identity() const override { return identity_; }
  Result<FeatureBlock> block(uint32_t width, uint32_t height) const override {
    const uint32_t h = height / spec_.merge, w = width / spec_.merge;
    return FeatureBlock{h * w, h, w};
  }
  Status begin(const Picture& tile) override {
    tile_ = tile;
    done_ = 0;
    taken_up_ = true;
    return {};
  }
  uint32_t segments() const override { return taken_up_ ? control_->tile_segments.load() : 0; }
  uint32_t segments_done() const override { return done_; }
  Result<bool> advance(uint32_t max_segments, const std::function<bool()>& cancelled) override {
    if (!taken_up_) return error(Code::invalid_argument, "no tile");
    for (uint32_t i = 0; i < max_segments && done_ < segments(); ++i) {
      std::function<Status()> hook;
      {
        const std::lock_guard lock(control_->mutex);
        hook = control_->before_segment;
      }
      Status status = hook ? hook() : Status();
      if (status.ok() && cancelled && cancelled()) status = Status(Code::cancelled, {});
      if (!status.ok()) {
        drop();
        return status;
      }
      ++done_;
      ++control_->segments_run;
    }
    return done_ == segments();
  }
  Status take(std::vector<float>& out) override {
    if (!taken_up_ || done_ != segments()) return error(Code::invalid_argument, "no finished tile");
    const auto rows = fake_rows(tile_, spec_.merge);
    out.insert(out.end(), rows.begin(), rows.end());
    ++control_->tiles;
    drop();
    return {};
  }
  void drop() override { taken_up_ = false; }
  ModelRunner::Cost cost(uint32_t, uint32_t) const override { return {10, 10}; }
  std::string program_text() const override { return "fake encoder"; }
  std::string plan_text() const override { return "fake encoder"; }
  std::string support_text() const override { return "fake encoder"; }

 private:
  std::shared_ptr<Control> control_;
  VisionSpec spec_;
  PreprocessSpec preprocess_;
  MemoryEstimate memory_;
  std::string identity_;
  Picture tile_;
  uint32_t done_ = 0;
  bool taken_up_ = false;
};

class FakeDevice : public Device {
 public:
  explicit FakeDevice(std::string backend = "cpu", std::string name = "fake") {
    info_.backend = std::move(backend);
    info_.name = std::move(name);
    info_.threads = 2;
  }
  const DeviceInfo& info() const override { return info_; }
  Result<std::unique_ptr<Memory>> allocate(uint64_t, MemoryUse) override { return error(Code::unsupported, "fake"); }
  Status copy(const CopyRequest&) override { return error(Code::unsupported, "fake"); }
  Answer support(const Program&, const Op&, const RunConfig&) const override { return Refusal{"fake"}; }
  bool reads_host_memory() const override { return true; }
  uint64_t packed_bytes(const WeightInfo&, const std::string&) const override { return 0; }
  Status pack(const PackRequest&) override { return error(Code::unsupported, "fake"); }
  uint64_t kv_page_bytes(const KvGroupInfo&, KvFormat) const override { return 1; }
  ActivationFormat preferred_activations() const override { return ActivationFormat::q8; }
  KvFormat preferred_kv() const override { return KvFormat::f16; }
  Result<std::unique_ptr<Recording>> record(const Plan&, const Bindings&) override { return error(Code::unsupported, "fake"); }
  Result<Ticket> submit(Recording&, uint32_t, uint32_t) override { return error(Code::unsupported, "fake"); }
  Status wait(Ticket, std::chrono::milliseconds) override { return error(Code::unsupported, "fake"); }

 private:
  DeviceInfo info_;
};

inline EngineParts parts(const std::shared_ptr<Control>& control) {
  EngineParts p;
  p.open_device = []() -> Result<OpenedDevice> { return OpenedDevice{std::make_unique<FakeDevice>(), "the only one"}; };
  p.open_next = [control](const DeviceInfo&) -> Result<OpenedDevice> {
    const int left = control->spares--;
    if (left <= 0) return error(Code::not_found, "no spare");
    return OpenedDevice{std::make_unique<FakeDevice>("spare", "spare " + std::to_string(left)), {}};
  };
  p.estimate = [](const Gguf&, Device&, const RunnerOptions& o) -> Result<MemoryEstimate> {
    MemoryEstimate e;
    e.weights = 1000;
    e.kv = o.context;
    return e;
  };
  p.load = [control](std::shared_ptr<const Gguf>, Device& device, const RunnerOptions& o, const LoadProgress& progress,
                     const LogSink&) -> Result<std::unique_ptr<ModelRunner>> {
    ++control->loads;
    std::function<Status(const Device&, const LoadProgress&)> hook;
    {
      const std::lock_guard lock(control->mutex);
      hook = control->before_load;
    }
    if (hook) KL_TRY(hook(device, progress));
    for (int i = 0; i <= 4; ++i) {
      if (progress && !progress(i / 4.0)) return error(Code::cancelled, "the load was cancelled");
    }
    if (o.memory_budget != 0 && o.memory_budget < 1000)
      return error(Code::out_of_memory, "1,000 bytes are needed, %llu are left", static_cast<unsigned long long>(o.memory_budget));
    const uint64_t tokens = o.kv_tokens == 0 ? o.context : o.kv_tokens;
    const auto pages = static_cast<uint32_t>((tokens + kKvPageTokens - 1) / kKvPageTokens);
    KL_ASSIGN(KvCache cache, KvCache::create({{.layers = 1, .kv_heads = 1, .head_size = 8}}, std::span(&pages, 1), Hash128{}));
    return std::unique_ptr<ModelRunner>(std::make_unique<FakeRunner>(control, o, std::move(cache)));
  };
  p.estimate_encoder = [](const Gguf&, Device&, const EncoderOptions&) -> Result<MemoryEstimate> {
    MemoryEstimate e;
    e.weights = 500;
    return e;
  };
  p.load_encoder = [control](const std::shared_ptr<const Gguf>&, Device& device, const EncoderOptions& o, const LoadProgress& progress,
                             const LogSink&) -> Result<std::unique_ptr<EncoderRunner>> {
    if (progress && !progress(1)) return error(Code::cancelled, "the load was cancelled");
    if (o.memory_budget != 0 && o.memory_budget < 500) return error(Code::out_of_memory, "500 bytes are needed");
    return std::unique_ptr<EncoderRunner>(std::make_unique<FakeEncoder>(control, device));
  };
  p.measure = [](Device&, uint32_t threads) -> Result<Roofline> { return Roofline{1.0 * threads, 2.0 * threads, 3.0 * threads}; };
  return p;
}

inline const char* model_path() { return KL_TEST_DATA "/data/stories260K.gguf"; }
inline const char* chat_template() { return "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}[assistant]"; }

// An engine with fake parts behind real handles.
struct FakeEngine {
  explicit FakeEngine(uint64_t memory_budget = 0, LogSink log = {}) {
    EngineOptions options;
    options.memory_budget = memory_budget;
    options.log = std::move(log);
    auto engine = Engine::open(options, parts(control));
    if (engine.ok()) (void)c_api::give(*engine, &handle);
  }
  ~FakeEngine() { (void)kl_engine_destroy(handle); }
  FakeEngine(const FakeEngine&) = delete;
  FakeEngine& operator=(const FakeEngine&) = delete;

  kl_model* load(kl_model_options options = {}) const {
    options.size = sizeof options;
    kl_model* model = nullptr;
    (void)kl_model_load(handle, model_path(), &options, &model);
    return model;
  }
  // With an encoder.
  kl_model* load_seeing(kl_model_options options = {}) const {
    options.projector = model_path();  // any file does: the encoder is a fake
    return load(options);
  }
  kl_session* session(kl_model* model, const char* system = nullptr) const {
    kl_session_options options{};
    options.size = sizeof options;
    options.system = system;
    options.template_text = chat_template();
    kl_session* session = nullptr;
    (void)kl_session_new(model, &options, &session);
    return session;
  }
  std::shared_ptr<Control> control = std::make_shared<Control>();
  kl_engine* handle = nullptr;
};

// A suite that is run on a device that computes a step while the host waits, and on one that runs ahead of it.
class BothWays : public testing::TestWithParam<bool> {
 public:
  static std::string name_of(const testing::TestParamInfo<bool>& info) { return info.param ? "ahead" : "in_step"; }

 protected:
  void SetUp() override { runs_ahead_by_default = GetParam(); }
  void TearDown() override { runs_ahead_by_default = false; }
};

inline kl_engine_stats stats_of(kl_engine* engine) {
  kl_engine_stats stats{};
  stats.size = sizeof stats;
  EXPECT_EQ(kl_engine_get_stats(engine, &stats), KL_OK);
  return stats;
}

struct Reading {
  std::vector<int32_t> ids;
  std::string text, message;
  kl_event last{};
  int progress = 0, finals = 0;
};

// Reads a generation to its end and lets it go.
inline Reading read(kl_generation* generation) {
  Reading answer;
  if (!generation) {
    answer.message = kl_last_error();
    return answer;
  }
  kl_event e{};
  e.size = sizeof e;
  while (kl_generation_next(generation, 60000, &e) == KL_OK && e.kind != KL_EVENT_NONE) {
    if (e.kind == KL_EVENT_PROGRESS) ++answer.progress;
    if (e.kind == KL_EVENT_TOKEN) {
      if (e.token >= 0) answer.ids.push_back(e.token);
      answer.text += e.text;
    }
    if (e.kind >= KL_EVENT_FINISHED) {
      ++answer.finals;
      answer.message = e.text;
      break;
    }
  }
  answer.last = e;
  (void)kl_generation_destroy(generation);
  return answer;
}

inline kl_generation* raw(kl_session* session, const std::vector<int32_t>& ids, uint32_t max_tokens, kl_send_options options = {}) {
  kl_prompt prompt{};
  prompt.size = sizeof prompt;
  prompt.ids = ids.data();
  prompt.id_count = ids.size();
  options.size = sizeof options;
  options.max_tokens = max_tokens;
  kl_generation* generation = nullptr;
  (void)kl_session_generate_raw(session, &prompt, &options, &generation);
  return generation;
}

inline std::vector<int32_t> some_ids(size_t count, uint32_t seed) {
  std::vector<int32_t> ids(count);
  for (size_t i = 0; i < count; ++i) ids[i] = static_cast<int32_t>(3 + mix(seed, i) % (kVocabulary - 3));
  return ids;
}

// What a hook of Control waits at until the test lets go. The hook may outlive it on the scheduler thread, so the two share the state.
class Hold {
 public:
  Hold() = default;
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  void open() {
    const std::lock_guard lock(state_->mutex);
    state_->open = true;
    state_->changed.notify_all();
  }

 protected:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    bool waiting = false, open = false;
  };
  static Status wait_in(State& state) {
    std::unique_lock lock(state.mutex);
    state.waiting = true;
    state.changed.notify_all();
    state.changed.wait(lock, [&] { return state.open; });
    return {};
  }
  void wait_for_arrival() {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [&] { return state_->waiting; });
  }
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Holds the scheduler in front of its next step.
class Gate : public Hold {
 public:
  explicit Gate(Control& control) : control_(control) {
    control_.set([state = state_](const StepBatch&) -> Status { return wait_in(*state); });
  }
  ~Gate() {
    open();
    control_.set({});
  }
  void wait_for_step() { wait_for_arrival(); }

 private:
  Control& control_;
};

}  // namespace kl::fake
