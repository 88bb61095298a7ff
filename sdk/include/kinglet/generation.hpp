// kinglet::Generation: an answer in the making, read by iteration, by a callback or as a future. Include <kinglet/kinglet.hpp>.
#ifndef KINGLET_GENERATION_HPP
#define KINGLET_GENERATION_HPP

#include <kinglet/expected.hpp>

#include <cstdint>
#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace kinglet {

struct TokenLogprob {
  int32_t token = -1;
  float logprob = 0;
};

// A token and the text it completes (empty while a character is incomplete or what could be a stop text is held back).
struct Piece {
  std::string text;
  int32_t token = -1;
  float logprob = 0;
  std::vector<TokenLogprob> top;
};

enum class End : int32_t { none = 0, finished = KL_EVENT_FINISHED, failed = KL_EVENT_FAILED, stopped = KL_EVENT_STOPPED };

// How a generation ended.
struct Ending {
  End how = End::none;
  kl_finish_reason reason = KL_FINISH_NONE;  // finished
  Error error;                               // failed
};

struct Answer {
  std::string text;
  Ending ending;
};

struct Progress {
  uint32_t done = 0, total = 0;  // prompt tokens
};

enum class Came { nothing, progress, piece, end };

class Generation {
 public:
  Generation() = default;
  explicit Generation(kl_generation* handle) : state_(std::make_unique<State>()) {
    state_->handle = detail::Handle<kl_generation, kl_generation_destroy>(handle);
  }
  // A generation that could not be started: iterates over nothing and has failed with this error.
  explicit Generation(Error error) : state_(std::make_unique<State>()) { state_->ending = {End::failed, KL_FINISH_NONE, std::move(error)}; }

  explicit operator bool() const { return state_ && state_->handle.get(); }
  kl_generation* get() const { return state_ ? state_->handle.get() : nullptr; }

  // What came within timeout_ms (negative: waits for ever). piece and progress are written only when they are what came.
  Came poll(Piece& piece, Progress& progress, int32_t timeout_ms) {
    if (!state_ || state_->ending.how != End::none) return Came::end;
    kl_event e = detail::sized<kl_event>();
    if (const kl_status status = kl_generation_next(get(), timeout_ms, &e); status != KL_OK) {
      state_->ending = {End::failed, KL_FINISH_NONE, Error::last(status)};
      return Came::end;
    }
    if (e.kind == KL_EVENT_NONE) return Came::nothing;
    if (e.kind == KL_EVENT_PROGRESS) {
      progress = {e.prompt_done, e.prompt_total};
      return Came::progress;
    }
    if (e.kind == KL_EVENT_TOKEN) {
      fill(e, piece);
      return Came::piece;
    }
    state_->ending = ending_of(e);
    return Came::end;
  }
  // Blocks until the next piece; false at the end, and then ending() says how. on_progress is told of the prompt meanwhile.
  bool next(Piece& piece, const std::function<void(const Progress&)>& on_progress = {}) {
    Progress progress;
    for (Came came = Came::nothing; came != Came::end;) {
      came = poll(piece, progress, -1);
      if (came == Came::piece) return true;
      if (came == Came::progress && on_progress) on_progress(progress);
    }
    return false;
  }
  // How it ended; End::none before it has.
  Ending ending() const { return state_ ? state_->ending : Ending{}; }
  // The rest of the answer, put together. Blocks.
  Answer wait() {
    Answer answer;
    for (Piece piece; next(piece);) answer.text += piece.text;
    answer.ending = ending();
    return answer;
  }
  void cancel() const { (void)kl_generation_cancel(get()); }
  kl_generation_stats stats() const {
    auto stats = detail::sized<kl_generation_stats>();
    (void)kl_generation_get_stats(get(), &stats);
    return stats;
  }

  // for (auto& piece : generation): leaving the loop early stops the generation.
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Piece;
    using difference_type = std::ptrdiff_t;
    using pointer = Piece*;
    using reference = Piece&;
    Iterator() = default;
    explicit Iterator(Generation* of) : of_(of) { ++*this; }
    Piece& operator*() const { return of_->state_->current; }
    Piece* operator->() const { return &of_->state_->current; }
    Iterator& operator++() {
      if (!of_->next(of_->state_->current)) of_ = nullptr;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& it, std::default_sentinel_t) { return it.of_ == nullptr; }

   private:
    Generation* of_ = nullptr;
  };
  Iterator begin() { return state_ ? Iterator(this) : Iterator(); }
  std::default_sentinel_t end() const { return {}; }

  // Pieces and the ending go to callbacks, on a thread of the engine or where `post` brings them: post(run) is to call run() once on a thread of the app's choice.
  // The Generation may be let go afterwards only by letting go of the answer: it stops then.
  Expected<void> listen(std::function<void(const Piece&)> on_piece, std::function<void(const Ending&)> on_end,
                        std::function<void(std::function<void()> run)> post = {}) {
    if (!*this) return Error{KL_INVALID_ARGUMENT, "the generation was not started"};
    auto sinks = std::make_unique<Sinks>(Sinks{std::move(on_piece), std::move(on_end), std::move(post)});
    auto listener = detail::sized<kl_listener>();
    listener.user = sinks.get();
    listener.on_event = [](void* user, kl_generation*, const kl_event* e) {
      const auto& to = *static_cast<Sinks*>(user);
      if (e->kind == KL_EVENT_TOKEN && to.on_piece) {
        Piece piece;
        fill(*e, piece);
        to.on_piece(piece);
      } else if (e->kind >= KL_EVENT_FINISHED && to.on_end) {
        to.on_end(ending_of(*e));
      }
    };
    listener.release = [](void* user) { delete static_cast<Sinks*>(user); };
    if (sinks->post) {
      listener.post_user = sinks.get();
      listener.post = [](void* user, void (*run)(void*), void* task) {
        const auto post_copy = static_cast<Sinks*>(user)->post;  // run may release the sinks
        post_copy([run, task] { run(task); });
      };
    }
    auto status = detail::done(kl_generation_listen(get(), &listener));
    if (status) (void)sinks.release();  // the listener's release function has it now
    return status;
  }

  // The whole answer, later. Keeps the generation until it has ended.
  static std::future<Answer> future(Generation generation) {
    struct Pending {
      Generation generation;
      std::string text;
      std::promise<Answer> promise;
    };
    auto pending = std::make_shared<Pending>();
    pending->generation = std::move(generation);
    std::future<Answer> future = pending->promise.get_future();
    const auto listening = pending->generation.listen([raw = pending.get()](const Piece& piece) { raw->text += piece.text; },
                                                      [pending](const Ending& ending) {
                                                        pending->promise.set_value({std::move(pending->text), ending});
                                                      });
    if (!listening) {
      Ending ending = pending->generation.ending();
      if (ending.how == End::none) ending = {End::failed, KL_FINISH_NONE, listening.error()};
      pending->promise.set_value({{}, std::move(ending)});
    }
    return future;
  }

 private:
  struct State {
    detail::Handle<kl_generation, kl_generation_destroy> handle;
    Ending ending;
    Piece current;
  };
  struct Sinks {
    std::function<void(const Piece&)> on_piece;
    std::function<void(const Ending&)> on_end;
    std::function<void(std::function<void()>)> post;
  };
  static void fill(const kl_event& e, Piece& piece) {
    piece.text.assign(e.text, e.text_length);
    piece.token = e.token;
    piece.logprob = e.logprob;
    piece.top.clear();
    for (uint32_t i = 0; i < e.top_count; ++i) piece.top.push_back({e.top[i].token, e.top[i].logprob});
  }
  static Ending ending_of(const kl_event& e) {
    Ending ending{static_cast<End>(e.kind), static_cast<kl_finish_reason>(e.reason), {}};
    if (e.kind == KL_EVENT_FAILED) ending.error = {e.status, std::string(e.text, e.text_length)};
    return ending;
  }

  std::unique_ptr<State> state_;
};

}  // namespace kinglet

#endif
