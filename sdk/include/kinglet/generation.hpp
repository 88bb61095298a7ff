// Work in progress: a generation and its events. Part of <kinglet/kinglet.hpp>.
#pragma once
#include <kinglet/session.h>
#include <kinglet/result.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace kinglet {

enum class EventKind : int {
  none = KL_EVENT_NONE,
  progress = KL_EVENT_PROGRESS,
  token = KL_EVENT_TOKEN,
  finished = KL_EVENT_FINISHED,
  failed = KL_EVENT_FAILED,
  stopped = KL_EVENT_STOPPED
};

enum class Finish : int {
  none = KL_FINISH_NONE,
  stop = KL_FINISH_STOP,
  length = KL_FINISH_LENGTH,
  stop_string = KL_FINISH_STOP_STRING,
  context_full = KL_FINISH_CONTEXT_FULL
};

// Views are valid until the next event of the same generation.
struct Event {
  EventKind kind = EventKind::none;
  Finish reason = Finish::none;           // finished
  Code code = Code::ok;                   // failed
  std::string_view text;                  // token, failed
  int32_t token = -1;                     // token: its id; -1: text held back that comes out at the end
  float logprob = 0;                      // token, with logprobs
  std::span<const kl_token_logprob> top;  // token, with logprobs: best first
  uint32_t prompt_done = 0;               // progress
  uint32_t prompt_total = 0;

  bool final() const { return kind >= EventKind::finished; }
};

using GenerationStats = kl_generation_stats;
// Runs the task it is given once, later, on a thread of the app's choice.
using Post = std::function<void(std::function<void()> task)>;

// Ends when it is destroyed: a loop that is left with `break` stops the answer, and the session stays usable.
// One that could not start is empty: nothing comes from it, and error() says why.
class Generation {
 public:
  explicit Generation(kl_generation* handle) : handle_(handle) {}
  explicit Generation(Error error) : error_(std::move(error)) {}

  explicit operator bool() const { return !error_.has_value(); }  // it started and, as far as was read, has not failed
  const Error& error() const { return *error_; }                  // precondition: it did not start, or failed
  std::optional<Finish> finished() const { return finish_; }      // after its final event was read; Finish::none when it was stopped
  kl_generation* get() const { return handle_.get(); }

  // Waits up to timeout_ms (negative: for ever) for the next event. kl_generation_next
  Event next(int32_t timeout_ms = -1) {
    Event event;
    if (handle_.get() == nullptr) return failed(event);
    auto raw = detail::sized<kl_event>();
    if (const kl_status status = kl_generation_next(handle_.get(), timeout_ms, &raw); status != KL_OK) {
      error_ = detail::last_error(status);
      return failed(event);
    }
    event = from_c(raw);
    if (event.kind == EventKind::failed) error_ = Error{event.code, std::string(event.text)};
    if (event.kind == EventKind::finished || event.kind == EventKind::stopped) finish_ = event.reason;
    return event;
  }

  // for (auto& piece : generation): its tokens, as they come. Ends with the final event; finished() and error() then say which.
  class Iterator {
   public:
    explicit Iterator(Generation* generation) : generation_(generation) { ++*this; }
    Event& operator*() { return event_; }
    Iterator& operator++() {
      do event_ = generation_->next();
      while (event_.kind < EventKind::token);
      return *this;
    }
    bool operator==(std::nullptr_t) const { return event_.final(); }

   private:
    Generation* generation_;
    Event event_;
  };
  Iterator begin() { return Iterator(this); }
  std::nullptr_t end() { return nullptr; }

  // Asks it to stop; any thread, any number of times. kl_generation_cancel
  void cancel() { kl_generation_cancel(handle_.get()); }

  Result<GenerationStats> stats() const {
    auto stats = detail::sized<GenerationStats>();
    if (const kl_status status = kl_generation_get_stats(handle_.get(), &stats); status != KL_OK) return detail::last_error(status);
    return stats;
  }

  // Events go to a function from now on, on a thread of the engine, or where `post` says. The function must not throw. kl_generation_listen
  Result<void> listen(std::function<void(const Event&)> on_event, Post post = {}) {
    if (error_) return *error_;
    auto owned = std::make_unique<Listener>(Listener{std::move(on_event), std::move(post)});
    auto listener = detail::sized<kl_listener>();
    listener.on_event = [](void* user, kl_generation*, const kl_event* event) { static_cast<Listener*>(user)->on_event(from_c(*event)); };
    listener.release = [](void* user) { delete static_cast<Listener*>(user); };
    listener.user = owned.get();
    if (owned->post) {
      listener.post = [](void* user, void (*run)(void*), void* task) { static_cast<Listener*>(user)->post([run, task] { run(task); }); };
      listener.post_user = owned.get();
    }
    const kl_status status = kl_generation_listen(handle_.get(), &listener);
    if (status == KL_OK) static_cast<void>(owned.release());  // now `release` above owns it
    return detail::done(status);
  }

 private:
  struct Listener {
    std::function<void(const Event&)> on_event;
    Post post;
  };

  static Event from_c(const kl_event& raw) {
    Event event;
    event.kind = static_cast<EventKind>(raw.kind);
    event.reason = static_cast<Finish>(raw.reason);
    event.code = static_cast<Code>(raw.status);
    event.text = std::string_view(raw.text, raw.text_length);
    event.token = raw.token;
    event.logprob = raw.logprob;
    event.top = std::span(raw.top, raw.top_count);
    event.prompt_done = raw.prompt_done;
    event.prompt_total = raw.prompt_total;
    return event;
  }

  Event failed(Event event) const {
    event.kind = EventKind::failed;
    event.code = error_->code;
    event.text = error_->message;
    return event;
  }

  detail::Handle<kl_generation, kl_generation_destroy> handle_;
  std::optional<Error> error_;
  std::optional<Finish> finish_;
};

}  // namespace kinglet
