// One thread per device: it owns the device, the models on it and their caches, and is thread 0 of the CPU team. Loop: take calls, jobs and images; reap what was
// cancelled or released; admit waiting jobs; choose_work (policy.h): a slice of an image's encoding, or a step: choose_step; reserve, run, commit or roll back;
// sample and deliver.
//
// Jobs:  waiting -- room in the cache --> admitted -- finish | fail | stop --> ended
//           ^------- preempted: a job that arrived earlier needs its pages --------'
// A preempted job loses its pages and computes its tokens again later (the same bits, by the laws of determinism); it has lost time only.
//
// Public functions are thread-safe, but must not be called on the scheduler thread.
#pragma once
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "core/log.h"
#include "engine/job.h"
#include "engine/policy.h"
#include "engine/trace.h"

namespace kl {

struct SchedulerStats {
  uint64_t steps = 0, prompt_rows = 0, decode_rows = 0, cached_tokens = 0, bytes_read = 0, macs = 0;
  double device_s = 0;
  uint64_t generations_running = 0, generations_waiting = 0, generations_ended = 0;
  uint64_t kv_tokens_used = 0, kv_tokens_total = 0, memory_bytes = 0, models = 0;
  uint64_t images_waiting = 0, images_encoded = 0;  // waiting: for the device or on it
  double encode_s = 0;
};

// What to append to a cache, and where the logits after the last logit_rows slots of it go.
struct EvaluationItem {
  std::shared_ptr<CacheSlot> cache;
  Content content;
  float* logits = nullptr;  // [logit_rows V]
  size_t logit_rows = 0;
};

struct EvaluationStats {
  uint64_t steps = 0, bytes = 0, macs = 0;
  double device_s = 0;
};

class Scheduler {
 public:
  using OpenDevice = std::function<Result<std::unique_ptr<Device>>()>;
  struct Loaded {
    std::unique_ptr<ModelRunner> runner;
    std::unique_ptr<EncoderRunner> encoder;  // null: no projector
  };
  // On the scheduler thread.
  using LoadRunner = std::function<Result<Loaded>(Device& device, uint64_t memory_used, const LoadProgress& progress)>;

  // Opens the device on the new thread. Errors: those of open_device; out_of_memory (no thread).
  static Result<std::shared_ptr<Scheduler>> start(OpenDevice open_device, LogSink log);
  ~Scheduler();
  // Ends every job as stopped, frees models and device, joins the thread. Everything afterwards is Code::closed. Twice is allowed.
  void shutdown();

  // Runs `work` on the scheduler thread between two steps and waits for it. Errors: closed, busy (suspended and needs_device), out_of_memory (thrown by work).
  enum class Needs : uint8_t { nothing, device };
  Status on_thread(Needs needs, const std::function<Status(Device&)>& work);

  // progress is called on the calling thread. Errors: those of load, closed, busy, cancelled.
  Result<SlotOwner<ModelSlot>> load(const LoadRunner& load, std::shared_ptr<const Vocabulary> vocabulary, const LoadProgress& progress);
  SlotOwner<CacheSlot> new_cache(const std::shared_ptr<ModelSlot>& model, bool evictable);
  // A new cache with the same content, pages shared. Errors: closed, busy (in use).
  Result<SlotOwner<CacheSlot>> fork_cache(const std::shared_ptr<CacheSlot>& cache);
  // Errors: closed, busy, invalid_argument (longer than it is), unsupported (a window has dropped what is needed).
  Status truncate_cache(const std::shared_ptr<CacheSlot>& cache, uint32_t length);
  Result<std::vector<int32_t>> cache_tokens(const std::shared_ptr<CacheSlot>& cache);

  // Takes over the job; it ends by an event, whatever happens. Error closed, device_lost: the job was not taken (and is untouched).
  Status submit(std::unique_ptr<Job>& job);
  // Takes over an image in Stage::waiting; it ends, whatever happens. Errors closed, device_lost: it was not taken. May throw std::bad_alloc, likewise.
  Status encode(std::shared_ptr<Image> image);
  // All or nothing. Errors: see kl_evaluate. Items have distinct caches of one model, ids checked by the caller.
  Result<EvaluationStats> evaluate(std::vector<EvaluationItem> items);

  Status suspend();  // returns when no step runs
  Status resume();

  SchedulerStats stats() const;
  const Trace& trace() const { return trace_; }
  const std::shared_ptr<Waker>& waker() const { return waker_; }
  const DeviceInfo& device_info() const { return device_info_; }  // fixed at start

 private:
  struct Call;
  class Batch;
  explicit Scheduler(LogSink log) : log_(std::move(log)), waker_(std::make_shared<Waker>()) {}

  // scheduler.cpp
  void main(const OpenDevice& open_device, Call& opened);
  void loop();
  void take();
  void run_calls(bool refuse);
  void reap() noexcept;
  void end_everything() noexcept;
  void end_job(Job& job, Event&& final) noexcept;
  void log(LogLevel level, const std::string& text) const noexcept;
  void publish_counts() noexcept;
  bool interrupted() const { return stopping_.load(std::memory_order_relaxed) || suspend_asked_.load(std::memory_order_relaxed); }

  // scheduler_cache.cpp
  void admit_waiting();
  bool images_there(Job& job);
  bool admit(Job& job);  // false: it has to wait (or has ended)
  Status match_cache(Job& job);
  void register_cache(const std::shared_ptr<CacheSlot>& cache);
  void drop_cache(CacheSlot& cache) noexcept;
  void publish(CacheSlot& cache) noexcept;
  bool evict_one(const ModelSlot& model, const CacheSlot* except) noexcept;
  void preempt(Job& job) noexcept;
  Result<std::span<const BlockCopy>> reserve_evicting(CacheSlot& cache, uint32_t rows);

  // scheduler_step.cpp
  bool work();  // false: nothing to do
  void find_runnable();
  double step();  // seconds it took
  void run_choice(const StepChoice& choice);
  void device_lost(const Status& status) noexcept;
  bool reserve_for(Job& job, uint32_t rows, Batch& batch);
  void step_failed(Batch& batch, const Status& status) noexcept;
  void step_done(Batch& batch, const StepResult& result);
  void sample(Job& job, std::span<const float> logits, const int32_t* greedy);
  void account(Batch& batch, const ModelSlot& model, const Status& status, double seconds) noexcept;

  // scheduler_encode.cpp
  Image* next_encode();   // null: none
  double encode_slice();  // seconds it took
  Status encode_some(Clock::time_point until);
  void end_encodes(Code why) noexcept;

  // scheduler_evaluate.cpp
  struct Evaluation;
  Status begin_evaluation(Evaluation& evaluation);
  Status evaluate_step(Evaluation& evaluation);
  void end_evaluation(Evaluation& evaluation, bool keep) noexcept;

  const LogSink log_;
  const std::shared_ptr<Waker> waker_;
  DeviceInfo device_info_;
  std::thread thread_;
  std::mutex shutdown_mutex_;

  mutable std::mutex mutex_;  // guards what follows
  std::deque<Call*> calls_;
  std::vector<std::unique_ptr<Job>> arrivals_;
  std::vector<std::shared_ptr<Image>> image_arrivals_;
  bool closed_ = false;
  Status lost_;  // device_lost, once it is
  SchedulerStats stats_;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> suspend_asked_ = false;

  Trace trace_;

  // The scheduler thread's own.
  std::unique_ptr<Device> device_;
  std::vector<std::shared_ptr<ModelSlot>> models_;
  std::vector<std::shared_ptr<CacheSlot>> caches_;
  std::vector<std::unique_ptr<Job>> jobs_;          // in order of arrival
  std::vector<PolicyJob> runnable_;                 // of this turn
  std::vector<uint32_t> runnable_jobs_;             // [runnable_] index into jobs_
  std::vector<std::vector<WholeRows>> whole_rows_;  // [jobs_] what runnable_ views
  uint32_t next_model_ = 0;                         // takes the next step, if it has work
  std::deque<std::shared_ptr<Image>> encodes_;      // in order of arrival; the first is being encoded, or about to be
  struct {
    size_t tile = 0;  // of the first
    bool taken_up = false;
    std::vector<float> values;
    std::vector<FeatureBlock> blocks;
  } encode_;
  EncodeDebt debt_;
  Sampler sampler_;
  uint64_t step_number_ = 0;
  uint32_t next_model_id_ = 0;
  bool suspended_ = false;
  const Clock::time_point opened_at_ = Clock::now();
};

}  // namespace kl
