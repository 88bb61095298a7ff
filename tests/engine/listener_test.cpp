// Callbacks, and everything being destroyed while it is in use.
#include <gtest/gtest.h>

#include <deque>
#include <kinglet/kinglet.hpp>
#include <random>

#include "fake_runner.h"

namespace kl::fake {
namespace {

// What a callback saw; released counts the calls of the release function.
struct Sink {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<int32_t> ids;
  int finals = 0, released = 0, after_release = 0, running = 0, overlapping = 0;
  std::thread::id thread;
  std::function<void(kl_generation*, const kl_event*)> also;

  kl_listener listener() {
    kl_listener l{};
    l.size = sizeof l;
    l.user = this;
    l.on_event = [](void* user, kl_generation* g, const kl_event* e) {
      auto& s = *static_cast<Sink*>(user);
      {
        const std::lock_guard lock(s.mutex);
        s.overlapping += s.running++ > 0 ? 1 : 0;
        s.after_release += s.released;
        s.thread = std::this_thread::get_id();
        if (e->kind == KL_EVENT_TOKEN && e->token >= 0) s.ids.push_back(e->token);
        s.finals += e->kind >= KL_EVENT_FINISHED ? 1 : 0;
      }
      if (s.also) s.also(g, e);
      const std::lock_guard lock(s.mutex);
      --s.running;
    };
    l.release = [](void* user) {
      auto& s = *static_cast<Sink*>(user);
      const std::lock_guard lock(s.mutex);
      ++s.released;
      s.changed.notify_all();
    };
    return l;
  }
  void wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return released > 0; });
    EXPECT_EQ(released, 1);
    EXPECT_EQ(after_release, 0);
    EXPECT_EQ(overlapping, 0);
  }
};

TEST(Listener, EventsArriveInOrderOnAnotherThreadAndReleaseComesLast) {
  FakeEngine engine;
  kl_model* model = engine.load();
  kl_session* session = engine.session(model);
  const auto prompt = some_ids(20, 1);
  Sink sink;
  kl_generation* generation = raw(session, prompt, 300);
  const kl_listener listener = sink.listener();
  ASSERT_EQ(kl_generation_listen(generation, &listener), KL_OK) << kl_last_error();
  EXPECT_EQ(kl_generation_listen(generation, &listener), KL_BUSY);
  kl_event e{};
  e.size = sizeof e;
  EXPECT_EQ(kl_generation_next(generation, 0, &e), KL_BUSY);
  sink.wait();
  EXPECT_EQ(sink.ids, continuation(prompt, 300));
  EXPECT_EQ(sink.finals, 1);
  EXPECT_NE(sink.thread, std::this_thread::get_id());
  EXPECT_EQ(kl_generation_destroy(generation), KL_OK);
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

TEST(Listener, APostFunctionChoosesTheThread) {
  FakeEngine engine;
  kl_model* model = engine.load();
  kl_session* session = engine.session(model);
  const auto prompt = some_ids(20, 2);
  struct Loop {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::pair<void (*)(void*), void*>> tasks;
  } loop;
  Sink sink;
  kl_listener listener = sink.listener();
  listener.post_user = &loop;
  listener.post = [](void* user, void (*run)(void*), void* task) {
    auto& l = *static_cast<Loop*>(user);
    const std::lock_guard lock(l.mutex);
    l.tasks.emplace_back(run, task);
    l.changed.notify_all();
  };
  kl_generation* generation = raw(session, prompt, 100);
  ASSERT_EQ(kl_generation_listen(generation, &listener), KL_OK);
  while (sink.released == 0) {  // only this thread runs callbacks
    std::unique_lock lock(loop.mutex);
    loop.changed.wait(lock, [&] { return !loop.tasks.empty(); });
    const auto [run, task] = loop.tasks.front();
    loop.tasks.pop_front();
    lock.unlock();
    run(task);
  }
  EXPECT_EQ(sink.ids, continuation(prompt, 100));
  EXPECT_EQ(sink.thread, std::this_thread::get_id());
  (void)kl_generation_destroy(generation);
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

// D3: destroying anything, engine included, from the callback, at every event.
TEST(Listener, EverythingCanBeDestroyedFromTheCallback) {
  for (int what = 0; what < 4; ++what) {
    for (int at = 0; at < 12; ++at) {
      auto engine = std::make_unique<FakeEngine>();
      kl_model* model = engine->load();
      kl_session* session = engine->session(model);
      Sink sink;
      int seen = 0;
      sink.also = [&](kl_generation* g, const kl_event*) {
        if (seen++ != at) return;
        if (what == 0) {
          EXPECT_EQ(kl_generation_destroy(g), KL_OK);
        }
        if (what == 1) {
          EXPECT_EQ(kl_session_destroy(session), KL_OK);
        }
        if (what == 2) {
          EXPECT_EQ(kl_model_destroy(model), KL_OK);
        }
        if (what == 3) {
          EXPECT_EQ(kl_engine_destroy(engine->handle), KL_OK);
        }
      };
      kl_generation* generation = raw(session, some_ids(5, 1), 10);
      const kl_listener listener = sink.listener();
      ASSERT_EQ(kl_generation_listen(generation, &listener), KL_OK);
      sink.wait();
      EXPECT_EQ(sink.finals, what == 0 && at < seen - 1 ? 0 : what == 0 ? sink.finals : 1);
      (void)kl_generation_destroy(generation);
      (void)kl_session_destroy(session);
      (void)kl_model_destroy(model);
    }
  }
}

// D1, D3: threads that create, read, cancel and destroy at random, over one model.
TEST(Lifecycle, RandomUseFromManyThreadsEndsEveryGenerationOnce) {
  FakeEngine engine;
  kl_model_options options{};
  options.context = 256;
  options.kv_tokens = 1024;
  kl_model* model = engine.load(options);
  std::atomic<int> ended = 0, started = 0;
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int round = 0; round < 125; ++round) {
        kl_session* session = engine.session(model);
        const auto prompt = some_ids(1 + random() % 100, static_cast<uint32_t>(random() % 4));
        kl_send_options o{};
        o.event_queue = 2 + random() % 8;
        kl_generation* generation = raw(session, prompt, 1 + random() % 40, o);
        ASSERT_NE(generation, nullptr) << kl_last_error();
        ++started;
        const auto action = random() % 5;
        if (action == 0) {
          (void)kl_generation_destroy(generation);
          ++ended;
        } else if (action == 1) {
          (void)kl_session_destroy(session);
          const auto got = read(generation);
          ended += got.finals;
        } else if (action == 2) {
          (void)kl_generation_cancel(generation);
          const auto got = read(generation);
          ended += got.finals;
          EXPECT_EQ(read(raw(session, prompt, 2)).ids, continuation(prompt, 2));
        } else {
          const auto got = read(generation);
          ended += got.finals;
          EXPECT_EQ(got.last.kind, KL_EVENT_FINISHED) << got.message;
          EXPECT_EQ(got.ids, continuation(prompt, got.ids.size()));
        }
        (void)kl_session_destroy(session);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(ended.load(), started.load());
  EXPECT_EQ(started.load(), 1000);
  (void)kl_model_destroy(model);
}

TEST(Cpp, IterationCallbackAndFutureGiveTheSameAnswer) {
  FakeEngine engine;
  kl_model* handle = engine.load();
  {
    const kinglet::Model model(handle);
    auto session = model.session({.template_text = chat_template()});
    ASSERT_TRUE(session) << session.error().message;
    const auto prompt = some_ids(12, 1);
    std::vector<int32_t> ids;
    std::string text;
    auto generation = session->raw(prompt, {.max_tokens = 30});
    for (const auto& piece : generation) {
      ids.push_back(piece.token);
      text += piece.text;
    }
    while (!ids.empty() && ids.back() < 0) ids.pop_back();
    EXPECT_EQ(ids, continuation(prompt, 30));
    EXPECT_EQ(generation.ending().how, kinglet::End::finished);
    EXPECT_EQ(generation.ending().reason, KL_FINISH_LENGTH);
    auto future = kinglet::Generation::future(session->raw(prompt, {.max_tokens = 30}));
    const auto answer = future.get();
    EXPECT_EQ(answer.text, text);
    EXPECT_EQ(answer.ending.how, kinglet::End::finished);
    for (const auto& piece : session->raw(prompt, {.max_tokens = 1000})) {  // leaving stops it
      if (piece.token >= 0) break;
    }
    auto again = session->raw(prompt, {.max_tokens = 3});
    while (!again && again.ending().error.code == KL_BUSY)
      again = session->raw(prompt, {.max_tokens = 3});  // the stop takes effect at a step's end
    EXPECT_EQ(again.wait().ending.how, kinglet::End::finished);
    const auto broken = session->raw(std::vector<int32_t>{-4});
    EXPECT_EQ(broken.ending().how, kinglet::End::failed);
    EXPECT_EQ(broken.ending().error.code, KL_INVALID_ARGUMENT);
  }
}

}  // namespace
}  // namespace kl::fake
