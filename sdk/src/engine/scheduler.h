// One thread per device: it owns the device, the models on it and their caches, and is thread 0 of the CPU team. Loop: take calls, jobs and images; reap what was
// cancelled or released; admit waiting jobs; choose_work (policy.h): a slice of an image's encoding, or a step: choose_step; reserve, run, commit or roll back;
// sample and deliver. On a device that works beside the host, steps that draw their tokens there run ahead (scheduler_ahead.cpp).
//
// A lost device (scheduler_recover.cpp) takes its pages with it and nothing else: what a job is to hold is on the host. The next device is opened, models are put
// on it again when somebody needs them, and jobs go on as preempted ones do.
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
#include <list>
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
  uint64_t devices_lost = 0;
  uint64_t steps_ahead = 0;  // of steps: submitted before the tokens of the one in front were known
};

struct OpenedDevice {
  std::unique_ptr<Device> device;
  std::string why;  // this one, for people
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
  using OpenDevice = std::function<Result<OpenedDevice>()>;
  // The device to go on on after one was lost; every chain of them ends in an error. Empty: there is none.
  using OpenNext = std::function<Result<OpenedDevice>(const DeviceInfo& lost)>;
  struct DeviceInUse {
    DeviceInfo info;
    std::string why;
  };

  // Opens the device on the new thread, where open_next is called too. Errors: those of open_device; out_of_memory (no thread).
  static Result<std::shared_ptr<Scheduler>> start(OpenDevice open_device, OpenNext open_next, LogSink log);
  ~Scheduler();
  // Ends every job as stopped, frees models and device, joins the thread. Everything afterwards is Code::closed. Twice is allowed.
  void shutdown();

  // Runs `work` on the scheduler thread between two steps and waits for it. Errors: closed, busy (suspended and needs_device), out_of_memory (thrown by work).
  enum class Needs : uint8_t { nothing, device };
  Status on_thread(Needs needs, const std::function<Status(Device&)>& work);

  // progress is called on the calling thread. Errors: those of load, closed, busy, cancelled.
  Result<SlotOwner<ModelSlot>> load(LoadModel load, std::shared_ptr<const Vocabulary> vocabulary, const LoadProgress& progress);
  // Runs `work` with the model's runner between two steps. Errors: as on_thread without a device; device_lost (its device was lost, and no other has it yet).
  Status with_runner(const std::shared_ptr<ModelSlot>& model, const std::function<Status(ModelRunner&)>& work);
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
  Result<EvaluationStats> evaluate(const std::vector<EvaluationItem>& items);

  Status suspend();  // returns when no step runs
  Status resume();

  SchedulerStats stats() const;
  const Trace& trace() const { return trace_; }
  const std::shared_ptr<Waker>& waker() const { return waker_; }
  DeviceInUse device_in_use() const;

 private:
  struct Call;
  class Batch;
  Scheduler(OpenNext open_next, LogSink log) : log_(std::move(log)), open_next_(std::move(open_next)), waker_(std::make_shared<Waker>()) {}

  // scheduler.cpp
  void main(const OpenDevice& open_device, Call& opened);
  void loop();
  void take() noexcept;
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
  void drop_sequence(KvCache& kv, SequenceId sequence) noexcept;
  void publish(CacheSlot& cache) noexcept;
  bool evict_one(const ModelSlot& model, const CacheSlot* except) noexcept;
  void preempt(Job& job) noexcept;
  Result<std::span<const BlockCopy>> reserve_evicting(CacheSlot& cache, uint32_t rows);

  // scheduler_step.cpp
  bool work();  // false: nothing to do
  void find_runnable();
  double step();  // seconds it took
  void run_choice(const StepChoice& choice);
  bool reserve_for(Job& job, uint32_t rows, Batch& batch);
  void step_failed(Batch& batch, const Status& status) noexcept;
  void step_done(Batch& batch, const StepResult& result, const Batch* behind = nullptr);  // behind: what runs already
  void note_first_steps(const Batch& batch, Clock::time_point began);
  void sample(Job& job, std::span<const float> logits, int32_t drawn);
  void account(Batch& batch, const ModelSlot& model, const Status& status, double seconds) noexcept;

  // scheduler_ahead.cpp
  bool can_run_ahead(const Batch& batch, const ModelRunner& runner) const;
  bool undisturbed(const Batch& batch) const;
  void run_ahead(const std::shared_ptr<ModelSlot>& model, std::unique_ptr<Batch> batch) noexcept;
  std::unique_ptr<Batch> begin_next(const Batch& batch, ModelSlot& model) noexcept;

  // scheduler_encode.cpp
  Image* next_encode();   // null: none
  double encode_slice();  // seconds it took
  Status encode_some(Clock::time_point until);
  void end_encodes(const Status& why) noexcept;

  // scheduler_recover.cpp
  enum class Placed : uint8_t { yes, no, later };
  void device_lost(const Status& status) noexcept;
  void go_on_elsewhere() noexcept;
  void give_up(const Status& why) noexcept;
  void forget_device() noexcept;
  Placed put_in_place(const std::shared_ptr<ModelSlot>& slot);
  Status load_into(ModelSlot& slot, const LoadProgress& progress);
  void fail_users(const ModelSlot& slot, const Status& why) noexcept;
  void end_cancelled() noexcept;

  // scheduler_evaluate.cpp
  struct Evaluation;
  Status begin_evaluation(Evaluation& evaluation);
  Status evaluate_step(Evaluation& evaluation);
  void end_evaluation(Evaluation& evaluation, bool keep) noexcept;

  const LogSink log_;
  const OpenNext open_next_;
  const std::shared_ptr<Waker> waker_;
  std::thread thread_;
  std::mutex shutdown_mutex_;

  mutable std::mutex mutex_;  // guards what follows
  std::deque<Call*> calls_;
  std::vector<std::unique_ptr<Job>> arrivals_;
  std::list<std::shared_ptr<Image>> image_arrivals_;  // lists: taken over without an allocation
  bool closed_ = false;
  Status lost_;  // device_lost, once it is and there is no other to go on on
  SchedulerStats stats_;
  DeviceInUse in_use_;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> suspend_asked_ = false;

  Trace trace_;

  // The scheduler thread's own.
  std::unique_ptr<Device> device_;
  Status loss_;                 // of device_: noted where it shows, dealt with between two steps, when nothing on the stack refers to it
  uint64_t device_number_ = 0;  // counts devices, so that what spans steps sees that its own has gone
  std::vector<std::shared_ptr<ModelSlot>> models_;
  std::vector<std::shared_ptr<CacheSlot>> caches_;
  std::vector<std::unique_ptr<Job>> jobs_;          // in order of arrival
  std::vector<PolicyJob> runnable_;                 // of this turn
  std::vector<uint32_t> runnable_jobs_;             // [runnable_] index into jobs_
  std::vector<std::vector<WholeRows>> whole_rows_;  // [jobs_] what runnable_ views
  uint32_t next_model_ = 0;                         // takes the next step, if it has work
  std::list<std::shared_ptr<Image>> encodes_;       // in order of arrival; the first is being encoded, or about to be
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
