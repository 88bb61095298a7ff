// What the scheduler keeps of models, caches and generations. Fields marked [s] belong to the scheduler thread alone.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/content.h"
#include "engine/encoder_runner.h"
#include "engine/generation.h"
#include "engine/image.h"
#include "engine/model_runner.h"
#include "engine/waker.h"
#include "sampling/sampler.h"
#include "sampling/stop_rules.h"
#include "text/detokenizer.h"
#include "text/vocabulary.h"

namespace kl {

// What any thread may know of a model that lies on a device. Where the model goes on on another device, it changes.
struct Placement {
  RunnerOptions limits;                       // in effect, the activation format included; of a projector alone: nothing
  uint64_t memory = 0;                        // bytes, accounted: of the model and its encoder
  uint64_t encoder_memory = 0;                // of these
  std::shared_ptr<const VisionFacts> vision;  // null: no projector
};

struct LoadedModel {
  std::unique_ptr<ModelRunner> runner;     // null: a projector alone
  std::unique_ptr<EncoderRunner> encoder;  // null: no projector
  Placement placement;
};
// Puts a model on a device, beside memory_used bytes of others. Owns all it needs: it is called again for every device that the model goes on on.
using LoadModel = std::function<Result<LoadedModel>(Device& device, uint64_t memory_used, const LoadProgress& progress)>;

// A model. Released by its last user with a flag, so that letting go never allocates, waits or fails.
struct ModelSlot {
  uint32_t id = 0;                         // in traces
  std::unique_ptr<ModelRunner> runner;     // [s] null: a projector alone, or not in place
  std::unique_ptr<EncoderRunner> encoder;  // [s] null: no projector, or not in place
  LoadModel load;                          // [s]
  bool in_place = false;                   // [s] false after a loss, until somebody needs it again (Scheduler::put_in_place)
  ImageRules images;
  std::shared_ptr<const Vocabulary> vocabulary;
  uint32_t context = 0;          // tokens of one sequence
  uint32_t vocabulary_size = 0;  // V of the logits
  uint64_t memory = 0;           // [s] bytes, accounted; 0: not in place
  uint32_t next_job = 0;         // [s] see PolicyModel
  std::atomic<bool> released = false;

  // Where it lies, or lay last.
  Placement placement() const {
    const std::lock_guard lock(mutex_);
    return placement_;
  }
  void set_placement(Placement placement) {
    const std::lock_guard lock(mutex_);
    std::swap(placement_, placement);
  }

 private:
  mutable std::mutex mutex_;
  Placement placement_;
};

// The KV cache of one session or sequence.
struct CacheSlot {
  explicit CacheSlot(std::shared_ptr<ModelSlot> of) : model(std::move(of)) {}
  const std::shared_ptr<ModelSlot> model;
  std::atomic<bool> released = false;
  bool evictable = true;               // a session's is computed again when it was evicted; a kl_sequence's is not
  std::optional<SequenceId> sequence;  // [s] null: nothing computed, or it was evicted, or its device was lost
  Content content;                     // [s] what is in the cache; of a kl_sequence whose device was lost, what it is to hold again
  uint64_t last_used = 0;              // [s] number of the step
  bool in_use = false;                 // [s] an admitted job or an evaluation works on it
  bool registered = false;             // [s] the scheduler looks at `released`
};

// The app's side of a slot.
template <class Slot>
class SlotOwner {
 public:
  SlotOwner() = default;
  SlotOwner(std::shared_ptr<Slot> slot, std::shared_ptr<Waker> scheduler) : slot_(std::move(slot)), scheduler_(std::move(scheduler)) {}
  SlotOwner(SlotOwner&& other) noexcept = default;
  SlotOwner& operator=(SlotOwner&& other) noexcept {
    std::swap(slot_, other.slot_);
    std::swap(scheduler_, other.scheduler_);
    return *this;
  }
  ~SlotOwner() {
    if (!slot_) return;
    slot_->released.store(true);
    scheduler_->wake();
  }
  const std::shared_ptr<Slot>& get() const { return slot_; }
  Slot* operator->() const { return slot_.get(); }
  explicit operator bool() const { return slot_ != nullptr; }

 private:
  std::shared_ptr<Slot> slot_;
  std::shared_ptr<Waker> scheduler_;
};

struct Job;

// Told of the end of a job, on the scheduler thread, before the app can see the final event. Must leave itself ready for the next job even when it throws
// std::bad_alloc (the generation then fails with out_of_memory).
class JobOwner {
 public:
  virtual ~JobOwner() = default;
  virtual void job_ended(const Job& job, EventKind how) = 0;
};

// A generation that has not ended. Handed to the scheduler whole.
struct Job {
  std::shared_ptr<Generation> generation;
  std::shared_ptr<JobOwner> owner;
  std::shared_ptr<CacheSlot> cache;
  Content content;  // the prompt, then what was generated: all that the cache is to hold
  uint32_t prompt_tokens = 0;
  // A prompt that waits for its images is not put together yet: with all of them ready, `assemble` fills content and what follows from it. May throw std::bad_alloc.
  std::vector<std::shared_ptr<Image>> images;
  std::function<Status(Job& job)> assemble;
  SamplingOptions sampling;
  uint32_t max_tokens = 0;  // 0: no limit
  uint32_t logprobs = 0;
  bool ignore_end = false;
  StopTexts stops;
  std::optional<Detokenizer> detokenizer;
  std::string answer;  // all text delivered
  Clock::time_point submitted = Clock::now();

  bool admitted = false;  // [s] and so on
  bool alone = false;     // see PolicyJob
  bool done = false;
  bool was_admitted = false;
  bool stalled = false;
  Clock::time_point first_step, first_token, stalled_since;
  uint32_t generated = 0;

  uint32_t pending() const { return static_cast<uint32_t>(content.size() - cache->content.size()); }
  bool decoding() const { return generated > 0 && pending() == 1; }
};

}  // namespace kl
