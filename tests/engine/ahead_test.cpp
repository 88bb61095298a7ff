// Steps that run ahead (scheduler_ahead.cpp): with real models on a device that computes late, and with the fake runner, whose tokens show every mistake in bookkeeping.
#include <gtest/gtest.h>

#include <algorithm>
#include <kinglet/kinglet.hpp>

#include "engine/c_api.h"
#include "fake_runner.h"
#include "support/fixture_models.h"
#include "support/late_device.h"

namespace kl {
namespace {

struct Opened {
  explicit Opened(bool late) {
    EngineParts parts = parts_for({.backend = Backend::cpu, .threads = 2, .log = {}, .cache_dir = {}, .features = {}});
    if (late) {
      parts.open_device = [open = parts.open_device]() -> Result<OpenedDevice> {
        KL_ASSIGN(OpenedDevice opened, open());
        return OpenedDevice{std::make_unique<LateDevice>(std::move(opened.device)), opened.why};
      };
    }
    auto opened = Engine::open({}, parts);
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    kl_engine* handle = nullptr;
    EXPECT_TRUE(c_api::give(*opened, &handle).ok());
    engine.emplace(handle);
  }
  uint64_t steps_ahead() const { return engine->stats().steps_ahead; }
  std::optional<kinglet::Engine> engine;
};

// Sessions beside each other that end at different times, by different rules, some drawn by chance; then a second turn of each.
std::vector<std::string> stories(Opened& opened, kinglet::Kv kv) {
  kinglet::ModelOptions options;
  options.context = 256;
  options.kv_tokens = 2048;
  options.kv = kv;
  auto model = opened.engine->load(kStories, options);
  EXPECT_TRUE(model) << model.error().message;
  const std::vector<std::string> prompts = {"", "Once upon a time", "The little dog was sad because",
                                            "Lily and Tom went to the park. They saw a big tree and"};
  std::vector<std::string> texts;
  std::vector<kinglet::Session> sessions;
  for (size_t i = 0; i < prompts.size(); ++i) sessions.push_back(std::move(*model->session()));
  for (int turn = 0; turn < 2; ++turn) {
    std::vector<kinglet::Generation> running;
    for (size_t i = 0; i < prompts.size(); ++i) {
      kinglet::SendOptions send = {.max_tokens = static_cast<uint32_t>(40 + 9 * i)};
      if (i == 1) send.stop = {"girl", "ball"};
      if (i >= 2) {
        kinglet::Sampling& sampling = send.sampling.emplace();
        sampling.temperature = 0.8f;
        sampling.top_k = 20;
        sampling.seed = 7;
      }
      running.push_back(sessions[i].raw(prompts[i], send));
    }
    for (auto& generation : running) {
      auto answer = generation.wait();
      EXPECT_EQ(answer.ending.how, kinglet::End::finished) << answer.ending.error.message;
      texts.push_back(answer.text);
    }
  }
  return texts;
}

TEST(Ahead, StoriesAreThoseOfADeviceThatTheHostWaitsFor) {
  for (const kinglet::Kv kv : {kinglet::Kv::f16, kinglet::Kv::q8}) {
    Opened in_step(false), ahead(true);
    EXPECT_EQ(stories(ahead, kv), stories(in_step, kv));
    EXPECT_EQ(in_step.steps_ahead(), 0u);
    EXPECT_GT(ahead.steps_ahead(), 40u);
  }
}

std::string seen(Opened& opened) {
  kinglet::ModelOptions options;
  options.projector = kShapes + "mmproj-shapes-vlm-f16.gguf";
  auto model = opened.engine->load(kShapes + "shapes-vlm-q8_0.gguf", options);
  EXPECT_TRUE(model) << model.error().message;
  auto image = model->image(kShapes + "pictures/06.png");
  EXPECT_TRUE(image);
  auto session = model->session();
  kinglet::SendOptions send = {.max_tokens = 24};
  send.images = {&*image};
  return session->send("What do you see?", send).wait().text;
}

TEST(Ahead, AnAnswerAboutAPictureToo) {
  Opened in_step(false), ahead(true);
  const std::string answer = seen(in_step);
  EXPECT_FALSE(answer.empty());
  EXPECT_EQ(seen(ahead), answer);
  EXPECT_GT(ahead.steps_ahead(), 0u);
}

}  // namespace
}  // namespace kl

namespace kl::fake {
namespace {

class AheadFake : public testing::Test {
 protected:
  void SetUp() override { engine.control->ahead = true; }
  FakeEngine engine;
};

// Where a job ends, the step behind has computed a row for it: the session must not hold that.
TEST_F(AheadFake, WhatWasComputedBehindTheEndIsRolledBack) {
  kl_model* model = engine.load();
  kl_session* session = engine.session(model);
  std::vector<int32_t> held = some_ids(40, 3);
  for (uint32_t turn = 0; turn < 4; ++turn) {
    const std::vector<int32_t> expected = continuation(held, 30);
    kl_event e{};
    e.size = sizeof e;
    kl_send_options send{};
    send.event_queue = 64;
    kl_generation* generation = raw(session, held, 0, send);
    ASSERT_NE(generation, nullptr) << kl_last_error();
    std::vector<int32_t> got;
    while (got.size() < 10 + turn && kl_generation_next(generation, 60000, &e) == KL_OK) {
      if (e.kind == KL_EVENT_TOKEN && e.token >= 0) got.push_back(e.token);
    }
    ASSERT_EQ(kl_generation_cancel(generation), KL_OK);
    const Reading rest = read(generation);
    EXPECT_EQ(rest.last.kind, KL_EVENT_STOPPED);
    got.insert(got.end(), rest.ids.begin(), rest.ids.end());
    ASSERT_LE(got.size(), 30u + 64);
    EXPECT_EQ(got, continuation(held, got.size()));
    held.insert(held.end(), got.begin(), got.end());
    held.push_back(static_cast<int32_t>(11 + turn));
  }
  EXPECT_GT(engine.control->steps_ahead.load(), 10u);
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

TEST_F(AheadFake, AnEndTokenLeavesNoRowBehind) {
  kl_model* model = engine.load();
  kl_session* session = engine.session(model);
  const auto prompt = some_ids(20, 4);
  engine.control->ends_at = 2 * kKvPageTokens;  // the row behind it stands on a page of its own
  kl_send_options send{};
  send.event_queue = 128;      // however slow the reader is, it never stands in the way
  Gate sent(*engine.control);  // a wake-up that comes late, out of the call that sends, would keep a step from going ahead
  kl_generation* generation = raw(session, prompt, 100, send);
  sent.open();
  const Reading answer = read(generation);
  EXPECT_EQ(answer.last.reason, KL_FINISH_STOP);
  EXPECT_EQ(answer.ids, continuation(prompt, 2 * kKvPageTokens - 20));
  EXPECT_GT(engine.control->steps_ahead.load(), 10u);
  // The last event goes out before the row behind it is waited for; these two calls stand behind both.
  ASSERT_EQ(kl_engine_suspend(engine.handle), KL_OK);
  ASSERT_EQ(kl_engine_resume(engine.handle), KL_OK);
  EXPECT_EQ(engine.control->rows.load(), 2 * kKvPageTokens + 1);  // it was computed
  EXPECT_EQ(stats_of(engine.handle).kv_tokens_used, 2 * kKvPageTokens);
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

TEST_F(AheadFake, AStepThatFailsFailsItsJobAndTheOneBehindIsForgotten) {
  kl_model_options options{};
  options.kv_tokens = 4096;
  kl_model* model = engine.load(options);
  kl_session *good = engine.session(model), *bad = engine.session(model);
  const auto good_prompt = some_ids(20, 5), bad_prompt = some_ids(33, 6);
  // The row at slot 50 of the second session's cache breaks the step it is in.
  engine.control->set_after([](const StepBatch& batch) -> Status {
    for (const StepSequence& s : batch.sequences) {
      if (s.cache == 1 && s.first_position == 50) return error(Code::internal, "the model's output is not finite");
    }
    return {};
  });
  Gate both(*engine.control);
  kl_send_options send{};
  send.event_queue = 128;
  kl_generation *a = raw(good, good_prompt, 60, send), *b = raw(bad, bad_prompt, 60, send);
  both.open();
  const Reading of_good = read(a), of_bad = read(b);
  EXPECT_EQ(of_good.last.kind, KL_EVENT_FINISHED) << of_good.message;
  EXPECT_EQ(of_good.ids, continuation(good_prompt, 60));
  EXPECT_EQ(of_bad.last.kind, KL_EVENT_FAILED);
  EXPECT_NE(of_bad.message.find("not finite"), std::string::npos) << of_bad.message;
  EXPECT_EQ(of_bad.ids, continuation(bad_prompt, 50 - 33 + 1));  // all before that
  EXPECT_GT(engine.control->steps_ahead.load(), 10u);
  engine.control->set_after({});
  const Reading again = read(raw(bad, bad_prompt, 40, send));
  EXPECT_EQ(again.ids, continuation(bad_prompt, 40)) << again.message;
  (void)kl_session_destroy(good);
  (void)kl_session_destroy(bad);
  (void)kl_model_destroy(model);
}

TEST_F(AheadFake, CallsAndArrivalsComeThroughALongAnswer) {
  kl_model_options options{};
  options.context = 8192;
  options.kv_tokens = 16384;
  kl_model* model = engine.load(options);
  kl_session* session = engine.session(model);
  const auto prompt = some_ids(20, 5);
  kl_send_options send{};
  send.event_queue = 4096;
  engine.control->set([](const StepBatch&) -> Status {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // a long answer, and not a matter of how fast this machine is
    return {};
  });
  kl_generation* generation = raw(session, prompt, 0, send);
  kl_event e{};
  e.size = sizeof e;
  ASSERT_EQ(kl_generation_next(generation, 60000, &e), KL_OK);
  for (uint32_t i = 0; i < 5; ++i) {
    kl_session* beside = engine.session(model);
    EXPECT_EQ(read(raw(beside, some_ids(9, 100 + i), 12)).ids, continuation(some_ids(9, 100 + i), 12));
    (void)kl_session_destroy(beside);
    kl_model* another = engine.load();  // a call that runs between two steps
    EXPECT_NE(another, nullptr);
    (void)kl_model_destroy(another);
  }
  kl_generation_stats stats{};
  stats.size = sizeof stats;
  EXPECT_EQ(kl_generation_get_stats(generation, &stats), KL_OK);
  EXPECT_EQ(stats.ended, 0u);  // it was running all the time
  ASSERT_EQ(kl_generation_cancel(generation), KL_OK);
  EXPECT_EQ(read(generation).finals, 1);
  EXPECT_GT(engine.control->steps_ahead.load(), 10u);
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

}  // namespace
}  // namespace kl::fake
