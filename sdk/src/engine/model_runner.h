// One model on one device: weights in place, a plan and recording per row bucket, the KV pools. Runs steps; decides nothing.
// Not thread-safe: the scheduler thread owns it. (The scheduler above it decides what goes in a step; see scheduler.h.)
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/device.h"
#include "core/log.h"
#include "core/status.h"
#include "kv/kv_cache.h"
#include "models/spec.h"
#include "weights/gguf.h"

namespace kl {

struct RunnerOptions {
  uint32_t context = 4096;      // tokens one sequence may hold, at most
  uint64_t kv_tokens = 0;       // tokens all sequences together may hold; 0: one full context
  uint32_t max_rows = 512;      // rows of the largest step
  uint32_t max_outputs = 64;    // rows of a step whose logits may be asked for
  uint32_t max_sequences = 32;  // sequences in one step
  KvFormat kv = KvFormat::f16;
  std::optional<ActivationFormat> activations;  // empty: the backend's own choice
  uint64_t memory_budget = 0;                   // bytes; 0: no limit. What does not fit is refused with the sizes.
  std::string pack_cache_dir;                   // empty: no pack cache
  bool features = false;                        // steps may take feature rows where tokens would be (a model with a projector)
};

// What a model will take, known from its header alone, before any large allocation.
struct MemoryEstimate {
  uint64_t weights = 0;         // packed weights resident on the device, bytes
  uint64_t weights_mapped = 0;  // read in place from the mapped file (clean pages the system can drop)
  uint64_t largest_tensor = 0;  // transient while packing
  uint64_t kv = 0;              // all KV pools
  uint64_t kv_per_token = 0;
  uint64_t workspace = 0;  // arena, scratch, logits, step parameters
  uint64_t total() const { return weights + kv + workspace; }
};

// The rows of one sequence in a step: slots first_position, first_position + 1, ... of its cache. The spans past `outputs` are empty for
// text, or have one entry per token; what they view must stay until run() returns.
struct StepSequence {
  SequenceId cache = 0;                                    // in ModelRunner::cache(), reserved for these rows beforehand
  std::span<const int32_t> tokens;                         // at least one; where a feature row stands, any valid id
  uint32_t first_position = 0;                             // = rows already in the cache
  uint32_t outputs = 0;                                    // logits are wanted of the last `outputs` rows
  std::span<const std::array<int32_t, 3>> positions = {};  // M-RoPE components (t, y, x); empty: all three are the slot
  std::span<const std::array<uint32_t, 2>> spans = {};  // slots [first, end) that a row sees both ways, its own within them; empty: itself
  std::span<const float* const> features = {};          // [Spec::width] each; null: the token. Needs RunnerOptions::features
  std::span<const DrawSettings> draws = {};             // one per output: its token is drawn on the device; empty: none is
  std::optional<uint32_t> fed = {};  // the one token is what this output of the step before draws; `tokens` has a place for it only
};

struct StepBatch {
  std::vector<StepSequence> sequences;
  std::vector<BlockCopy> copies;    // what the reservations asked for; executed before the rows are written
  bool logits = true;               // fill StepResult::logits: not needed where every output's token is drawn on the device
  std::function<bool()> cancelled;  // asked between segments; true ends the step with Code::cancelled
};

struct StepResult {
  std::span<const float> logits;   // [O V] in the order of the batch; valid until the next run
  std::span<const int32_t> drawn;  // [O] likewise; -1 where none was to be drawn
  double seconds = 0;              // device time of the step
};

using LoadProgress = std::function<bool(double fraction)>;  // false stops the load with Code::cancelled

class ModelRunner {
 public:
  // From the header only: no tensor is read.
  static Result<MemoryEstimate> estimate(const Gguf& file, Device& device, const RunnerOptions& options);
  static Result<std::unique_ptr<ModelRunner>> load(const std::shared_ptr<const Gguf>& file, Device& device, const RunnerOptions& options,
                                                   const LoadProgress& progress, const LogSink& log);
  virtual ~ModelRunner() = default;

  virtual const Spec& spec() const = 0;  // hyperparameters: vocabulary, context length, ...
  virtual const RunnerOptions& options() const = 0;
  virtual const MemoryEstimate& memory() const = 0;  // the estimate that was held to
  virtual KvCache& cache() = 0;                      // what the scheduler reserves from; lives as long as the runner

  // Runs one step: executes queued block copies, fills StepParams, submits, waits. On error nothing is committed;
  // the caller rolls back its reservations. Errors: cancelled, device_lost, internal (non-finite logits are reported, never sampled).
  virtual Result<StepResult> run(const StepBatch& batch) = 0;

  // run() in two halves, for steps behind one another: a step may begin while one other has not been finished (the depth of running ahead), and take its tokens
  // from there (StepSequence::fed). finish() ends the step that began first, however it went; its results are valid until two more have begun. Every step that
  // began is to be finished before anything else is asked of this runner, but for a lost device's.
  // Preconditions of begin: no copies; behind an unfinished step besides: one row and one drawn output a sequence, and that step wants no logits.
  // Errors: as run(), without cancelled; unsupported (not runs_ahead()); busy (two have begun), internal (finish: none has).
  virtual bool runs_ahead() const { return false; }  // worth it: the device is asynchronous
  virtual Status begin(const StepBatch& batch);
  virtual Result<StepResult> finish();

  // What a step of `rows` rows reads and computes: the denominators of every speed.
  struct Cost {
    uint64_t bytes = 0;
    uint64_t macs = 0;
  };
  virtual Cost cost(uint32_t rows, uint32_t outputs, uint64_t cached_tokens) const = 0;

  // Texts for people: the Program, the Plan, the support report.
  virtual std::string program_text() const = 0;
  virtual std::string plan_text(uint32_t rows) const = 0;
  virtual std::string support_text() const = 0;
};

}  // namespace kl
