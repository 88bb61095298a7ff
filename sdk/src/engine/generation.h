// Work in progress, seen from both sides: the scheduler pushes events and ends it exactly once, the app takes events out.
//
//   running -- finish | fail | stop --> ended.     The first ending stays; later calls of end() change nothing.
//
// The queue is bounded: a generation whose reader is slow has no room, and the scheduler leaves it out of its steps until it has.
// All functions are thread-safe. What the scheduler calls does not throw, so that an ending can always be delivered.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "sampling/sampler.h"

namespace kl {

class Delivery;
class Waker;

using Clock = std::chrono::steady_clock;
inline double seconds_between(Clock::time_point from, Clock::time_point to) { return std::chrono::duration<double>(to - from).count(); }

// The numbers are those of kl_event_kind and kl_finish_reason.
enum class EventKind : int32_t { none = 0, progress = 1, token = 2, finished = 3, failed = 4, stopped = 5 };
enum class FinishReason : int32_t { none = 0, stop = 1, length = 2, stop_string = 3, context_full = 4 };

inline constexpr int32_t kNoToken = -1;  // a token event that only carries text held back before

struct Event {
  EventKind kind = EventKind::none;
  FinishReason reason = FinishReason::none;
  int32_t token = kNoToken;
  std::string text{};
  float logprob = 0;
  std::vector<TokenLogprob> top{};
  uint32_t prompt_done = 0, prompt_total = 0;
  Status status{};  // failed

  bool is_final() const { return kind >= EventKind::finished; }
  static Event finish(FinishReason reason) { return Event{.kind = EventKind::finished, .reason = reason}; }
  static Event fail(Status status) { return Event{.kind = EventKind::failed, .status = std::move(status)}; }
  static Event stop() { return Event{.kind = EventKind::stopped}; }
};

// Seconds and counts of one generation; what the stats of the public header are made of.
struct GenerationStats {
  uint32_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0, device_changes = 0;
  bool ended = false;
  double queued_s = 0, ttft_s = 0, prefill_s = 0, decode_s = 0, stalled_s = 0, step_s = 0;
  uint64_t decode_steps = 0, decode_bytes = 0, decode_macs = 0, prefill_bytes = 0, prefill_macs = 0;
};

// Where events go when the app does not read them itself.
struct Listener {
  std::function<void(const Event&)> on_event;
  std::function<void()> release;                                  // once, after the last on_event
  std::function<void(void (*run)(void* task), void* task)> post;  // empty: on the delivery thread
};

class Generation : public std::enable_shared_from_this<Generation> {
 public:
  // capacity: token events held for the reader.
  Generation(uint32_t capacity, std::shared_ptr<Waker> scheduler, std::shared_ptr<Delivery> delivery);

  // --- the scheduler's side
  bool has_room(size_t tokens = 1) const noexcept;  // for so many token events and the text held back behind the last
  void push(Event&& event) noexcept;
  void progress(uint32_t done, uint32_t total) noexcept;  // a newer progress replaces one that was not read yet
  void end(Event&& final) noexcept;
  bool cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }
  template <class F>
  void update_stats(F&& change) noexcept {
    const std::lock_guard lock(mutex_);
    change(stats_);
  }

  // --- the app's side
  void cancel() noexcept;
  // The next event, moved out, or EventKind::none after the timeout (negative: none). The final event is given again and again.
  // Error busy: another thread is in here, or there is a listener.
  Result<Event> next(int32_t timeout_ms);
  Status listen(Listener listener);
  // No on_event starts after this; the release function still comes.
  void detach() noexcept;
  bool ended() const noexcept;
  GenerationStats stats() const noexcept;

  // --- Delivery's side: hands over waiting events until none is left or `limit` were. True: there is more to do.
  bool deliver(uint32_t limit);
  std::function<void(void (*run)(void* task), void* task)> post_function() const;

 private:
  friend class Delivery;
  void schedule_delivery(std::unique_lock<std::mutex>& lock) noexcept;
  bool pop(Event& out);  // the oldest event before the final one; mutex_ held

  const std::shared_ptr<Waker> scheduler_;
  const std::shared_ptr<Delivery> delivery_;
  std::atomic<bool> cancelled_ = false;

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Event> ring_;  // capacity + 2: the token that found room may bring its held-back text
  size_t first_ = 0, count_ = 0;
  const size_t capacity_;
  std::optional<Event> progress_;
  std::optional<Event> final_;
  bool reading_ = false;
  GenerationStats stats_;

  std::shared_ptr<Listener> listener_;
  bool detached_ = false, final_delivered_ = false, released_ = false;
  bool scheduled_ = false;                  // in the delivery queue or being delivered
  std::shared_ptr<Generation> next_ready_;  // the delivery queue: linked, so that queueing allocates nothing
  std::shared_ptr<Generation> self_;        // while a task of the app's post function refers to it
};

}  // namespace kl
