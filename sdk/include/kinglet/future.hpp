// A whole answer as a std::future. Part of <kinglet/kinglet.hpp>.
#pragma once
#include <kinglet/generation.hpp>

#include <future>

namespace kinglet {

struct Answer {
  std::string text;
  Finish finish = Finish::none;  // Finish::none: it was stopped
};

// Collects a generation: the future is ready when it has ended, with the text or with the error. It runs on even if the future is dropped.
inline std::future<Result<Answer>> collect(Generation generation) {
  struct State {
    std::optional<Generation> generation;
    std::promise<Result<Answer>> promise;
    Answer answer;
  };
  auto state = std::make_shared<State>();
  std::future<Result<Answer>> future = state->promise.get_future();
  state->generation.emplace(std::move(generation));
  const Result<void> listening = state->generation->listen([state](const Event& event) {
    if (event.kind == EventKind::token) state->answer.text += event.text;
    if (!event.final()) return;
    state->answer.finish = event.reason;
    if (event.kind == EventKind::failed) {
      state->promise.set_value(Error{event.code, std::string(event.text)});
    } else {
      state->promise.set_value(std::move(state->answer));
    }
    state->generation.reset();  // allowed in its own callback; breaks the circle of ownership
  });
  if (!listening) state->promise.set_value(listening.error());
  return future;
}

}  // namespace kinglet
