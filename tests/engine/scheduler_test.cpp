// The scheduler through the C boundary, with a runner whose tokens show every mistake in bookkeeping.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "fake_runner.h"

namespace kl::fake {
namespace {

class Scheduler : public BothWays {};
INSTANTIATE_TEST_SUITE_P(Steps, Scheduler, testing::Bool(), Scheduler::name_of);

TEST_P(Scheduler, AGenerationGivesTheModelsTokensAndEndsOnce) {
  FakeEngine engine;
  kl_model_options options{};
  options.context = 1024;
  kl_model* model = engine.load(options);
  kl_session* session = engine.session(model);
  const auto prompt = some_ids(700, 1);
  kl_generation* generation = raw(session, prompt, 20);
  ASSERT_NE(generation, nullptr) << kl_last_error();
  std::vector<int32_t> ids;
  uint32_t done = 0;
  kl_event e{};
  e.size = sizeof e;
  while (kl_generation_next(generation, 60000, &e) == KL_OK && e.kind < KL_EVENT_FINISHED) {
    if (e.kind == KL_EVENT_TOKEN && e.token >= 0) ids.push_back(e.token);
    if (e.kind == KL_EVENT_PROGRESS) {
      EXPECT_GT(e.prompt_done, done);
      EXPECT_EQ(e.prompt_total, 700u);
      done = e.prompt_done;
    }
  }
  EXPECT_EQ(done, 700u);
  EXPECT_EQ(ids, continuation(prompt, 20));
  EXPECT_EQ(e.kind, KL_EVENT_FINISHED);
  EXPECT_EQ(e.reason, KL_FINISH_LENGTH);
  for (int i = 0; i < 3; ++i) {  // the final event is repeated
    EXPECT_EQ(kl_generation_next(generation, 0, &e), KL_OK);
    EXPECT_EQ(e.kind, KL_EVENT_FINISHED);
  }
  kl_generation_stats stats{};
  stats.size = sizeof stats;
  EXPECT_EQ(kl_generation_get_stats(generation, &stats), KL_OK);
  EXPECT_EQ(stats.prompt_tokens, 700u);
  EXPECT_EQ(stats.generated_tokens, 20u);
  EXPECT_EQ(stats.decode_steps, 19u);
  EXPECT_EQ(stats.decode_macs, 190u);
  EXPECT_EQ(stats.prefill_macs, 7000u);
  EXPECT_GT(stats.ttft_s, 0);
  EXPECT_EQ(stats.ended, 1u);
  (void)kl_generation_destroy(generation);
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

TEST_P(Scheduler, ManySessionsShareStepsAndGiveWhatEachWouldAlone) {
  FakeEngine engine;
  kl_model_options options{};
  options.kv_tokens = 16384;
  options.max_rows = 96;
  options.max_sequences = 8;
  kl_model* model = engine.load(options);
  std::vector<kl_session*> sessions;
  std::vector<kl_generation*> generations;
  Gate all_sent(*engine.control);
  for (uint32_t i = 0; i < 20; ++i) {
    sessions.push_back(engine.session(model));
    kl_send_options o{};
    o.event_queue = 256;
    generations.push_back(raw(sessions.back(), some_ids(1 + i * 17, i), 5 + i, o));
    ASSERT_NE(generations.back(), nullptr) << kl_last_error();
  }
  all_sent.open();
  for (uint32_t i = 0; i < 20; ++i) EXPECT_EQ(read(generations[i]).ids, continuation(some_ids(1 + i * 17, i), 5 + i)) << i;
  EXPECT_EQ(engine.control->largest_batch.load(), 8u);
  for (kl_session* s : sessions) (void)kl_session_destroy(s);
  (void)kl_model_destroy(model);
}

TEST_P(Scheduler, ASecondTurnComputesOnlyWhatIsNew) {
  FakeEngine engine;
  kl_model* model = engine.load();
  kl_session* session = engine.session(model);
  const auto prompt = some_ids(100, 3);
  const auto first = read(raw(session, prompt, 10)).ids;
  auto longer = prompt;
  longer.insert(longer.end(), first.begin(), first.end());
  longer.push_back(7);
  const uint64_t rows = engine.control->rows.load();
  EXPECT_EQ(read(raw(session, longer, 1)).ids, continuation(longer, 1));
  EXPECT_EQ(engine.control->rows.load() - rows, 2u);  // the last generated token was never computed, and the new one
  auto changed = longer;
  changed[50] = 3 + (changed[50] - 2) % 500;
  EXPECT_EQ(read(raw(session, changed, 3)).ids, continuation(changed, 3));
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

TEST_P(Scheduler, SessionsShareAPrefixWithoutChangingAToken) {
  FakeEngine engine;
  kl_model_options options{};
  options.kv_tokens = 8192;
  kl_model* model = engine.load(options);
  const auto common = some_ids(320, 5);
  kl_session* a = engine.session(model);
  EXPECT_EQ(read(raw(a, common, 4)).ids, continuation(common, 4));
  for (size_t keep : {320u, 319u, 200u, 33u, 31u}) {
    auto prompt = std::vector<int32_t>(common.begin(), common.begin() + static_cast<ptrdiff_t>(keep));
    const auto own = some_ids(20, static_cast<uint32_t>(keep));
    prompt.insert(prompt.end(), own.begin(), own.end());
    kl_session* b = engine.session(model);
    const uint64_t rows = engine.control->rows.load();
    EXPECT_EQ(read(raw(b, prompt, 3)).ids, continuation(prompt, 3)) << keep;
    EXPECT_EQ(engine.control->rows.load() - rows, prompt.size() - keep / 32 * 32 + 2) << keep;
    (void)kl_session_destroy(b);
  }
  (void)kl_session_destroy(a);
  (void)kl_model_destroy(model);
}

TEST_P(Scheduler, ForkedSessionsGoTheirOwnWays) {
  FakeEngine engine;
  kl_model_options options{};
  options.kv_tokens = 8192;
  kl_model* model = engine.load(options);
  kl_session* a = engine.session(model);
  auto prompt = some_ids(45, 9);
  (void)read(raw(a, prompt, 5));
  kl_session* b = nullptr;
  ASSERT_EQ(kl_session_fork(a, &b), KL_OK) << kl_last_error();
  auto left = prompt, right = prompt;
  left.push_back(11);
  right.push_back(12);
  kl_generation* one = raw(a, left, 40);
  kl_generation* two = raw(b, right, 40);
  EXPECT_EQ(read(one).ids, continuation(left, 40));
  EXPECT_EQ(read(two).ids, continuation(right, 40));
  (void)kl_session_destroy(a);
  (void)kl_session_destroy(b);
  (void)kl_model_destroy(model);
}

TEST_P(Scheduler, ASlowReaderStopsItsOwnGenerationOnly) {
  FakeEngine engine;
  kl_model_options options{};
  options.kv_tokens = 8192;
  kl_model* model = engine.load(options);
  kl_session* slow = engine.session(model);
  kl_session* fast = engine.session(model);
  const auto prompt = some_ids(10, 1);
  kl_send_options o{};
  o.event_queue = 2;
  kl_generation* waiting = raw(slow, prompt, 50, o);
  ASSERT_NE(waiting, nullptr);
  EXPECT_EQ(read(raw(fast, some_ids(10, 2), 200)).ids, continuation(some_ids(10, 2), 200));
  kl_generation_stats stats{};
  stats.size = sizeof stats;
  (void)kl_generation_get_stats(waiting, &stats);
  EXPECT_LE(stats.generated_tokens, 2u);
  EXPECT_EQ(stats.ended, 0u);
  EXPECT_EQ(read(waiting).ids, continuation(prompt, 50));
  (void)kl_session_destroy(slow);
  (void)kl_session_destroy(fast);
  (void)kl_model_destroy(model);
}

TEST_P(Scheduler, CancelStopsAPromptBetweenSegmentsAndTheSessionGoesOn) {
  FakeEngine engine;
  kl_model* model = engine.load();
  kl_session* session = engine.session(model);
  {
    Gate gate(*engine.control);
    kl_generation* generation = raw(session, some_ids(500, 2), 10);
    gate.wait_for_step();
    ASSERT_EQ(kl_generation_cancel(generation), KL_OK);
    gate.open();
    const auto got = read(generation);
    EXPECT_EQ(got.last.kind, KL_EVENT_STOPPED);
    EXPECT_EQ(got.finals, 1);
    EXPECT_TRUE(got.ids.empty());
  }
  EXPECT_EQ(engine.control->steps.load(), 0u);  // the step gave up at its segment border
  EXPECT_EQ(read(raw(session, some_ids(500, 2), 3)).ids, continuation(some_ids(500, 2), 3));
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

TEST_P(Scheduler, AFailedStepFailsOnlyTheGenerationAtFault) {
  FakeEngine engine;
  kl_model_options options{};
  options.kv_tokens = 8192;
  kl_model* model = engine.load(options);
  const int32_t poison = 99;
  engine.control->set([&](const StepBatch& batch) -> Status {
    for (const auto& s : batch.sequences) {
      if (std::find(s.tokens.begin(), s.tokens.end(), poison) != s.tokens.end()) return error(Code::internal, "the logits are no numbers");
    }
    return {};
  });
  std::vector<kl_session*> sessions;
  std::vector<kl_generation*> generations;
  std::vector<std::vector<int32_t>> prompts;
  for (uint32_t i = 0; i < 6; ++i) {
    sessions.push_back(engine.session(model));
    prompts.push_back(some_ids(60 + i, 100 + i));
    std::replace(prompts[i].begin(), prompts[i].end(), poison, 98);
    if (i == 3) prompts[i][40] = poison;
    generations.push_back(raw(sessions[i], prompts[i], 1));
  }
  for (uint32_t i = 0; i < 6; ++i) {
    const auto got = read(generations[i]);
    if (i == 3) {
      EXPECT_EQ(got.last.kind, KL_EVENT_FAILED);
      EXPECT_EQ(got.last.status, KL_INTERNAL);
      EXPECT_NE(got.message.find("no numbers"), std::string::npos);
    } else {
      EXPECT_EQ(got.ids, continuation(prompts[i], 1));
    }
  }
  engine.control->set({});
  EXPECT_EQ(read(raw(sessions[3], prompts[3], 2)).ids, continuation(prompts[3], 2));
  for (kl_session* s : sessions) (void)kl_session_destroy(s);
  (void)kl_model_destroy(model);
}

TEST_P(Scheduler, ALostDeviceFailsEverythingWithItsReason) {
  FakeEngine engine;
  kl_model* model = engine.load();
  kl_session* session = engine.session(model);
  engine.control->set([](const StepBatch&) { return error(Code::device_lost, "the device stopped"); });
  EXPECT_EQ(read(raw(session, some_ids(5, 1), 5)).last.status, KL_DEVICE_LOST);
  kl_prompt prompt{};
  prompt.size = sizeof prompt;
  const int32_t id = 5;
  prompt.ids = &id;
  prompt.id_count = 1;
  kl_generation* generation = nullptr;
  EXPECT_EQ(kl_session_generate_raw(session, &prompt, nullptr, &generation), KL_DEVICE_LOST);
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

TEST_P(Scheduler, MoreSessionsThanTheCacheHoldsWaitTheirTurnAndLoseNothing) {
  FakeEngine engine;
  kl_model_options options{};
  options.context = 256;
  options.kv_tokens = 512;  // 16 pages for 12 sessions that come to need up to 7 each
  kl_model* model = engine.load(options);
  std::vector<kl_session*> sessions;
  std::vector<kl_generation*> generations;
  kl_send_options o{};
  o.event_queue = 256;
  for (uint32_t i = 0; i < 12; ++i) {
    sessions.push_back(engine.session(model));
    generations.push_back(raw(sessions.back(), some_ids(60 + i, i), 120, o));
  }
  for (uint32_t i = 0; i < 12; ++i) {
    const auto got = read(generations[i]);
    EXPECT_EQ(got.last.reason, KL_FINISH_LENGTH) << got.message;
    EXPECT_EQ(got.ids, continuation(some_ids(60 + i, i), 120)) << i;
  }
  for (uint32_t i = 0; i < 12; ++i)
    EXPECT_EQ(read(raw(sessions[i], some_ids(70, i), 2)).ids, continuation(some_ids(70, i), 2));  // evicted or not
  for (kl_session* s : sessions) (void)kl_session_destroy(s);
  (void)kl_model_destroy(model);
}

// D8: prompts and answers around the edge of the context end with a reason, and never loop.
TEST_P(Scheduler, TheContextsEdgeIsAReasonToEnd) {
  FakeEngine engine;
  for (const uint32_t context : {1u, 2u, 31u, 32u, 33u, 64u}) {
    kl_model_options options{};
    options.context = context;
    kl_model* model = engine.load(options);
    ASSERT_NE(model, nullptr) << kl_last_error();
    kl_session* session = engine.session(model);
    for (uint32_t length = context > 2 ? context - 2 : 1; length <= context + 2; ++length) {
      const auto prompt = some_ids(length, length);
      kl_generation* generation = raw(session, prompt, 0);
      if (length > context) {
        EXPECT_EQ(generation, nullptr);
        EXPECT_NE(std::string(kl_last_error()).find("context"), std::string::npos);
        continue;
      }
      const auto got = read(generation);
      EXPECT_EQ(got.last.kind, KL_EVENT_FINISHED) << got.message;
      EXPECT_EQ(got.last.reason, KL_FINISH_CONTEXT_FULL);
      EXPECT_EQ(got.ids, continuation(prompt, context - length + 1)) << context << " " << length;
    }
    (void)kl_session_destroy(session);
    (void)kl_model_destroy(model);
  }
}

TEST_P(Scheduler, APromptThatCanNeverFitFailsWithTheNumbers) {
  FakeEngine engine;
  kl_model_options options{};
  options.context = 1024;
  options.kv_tokens = 64;
  kl_model* model = engine.load(options);
  kl_session* session = engine.session(model);
  const auto got = read(raw(session, some_ids(100, 1), 5));
  EXPECT_EQ(got.last.kind, KL_EVENT_FAILED);
  EXPECT_EQ(got.last.status, KL_CONTEXT_FULL);
  EXPECT_NE(got.message.find("100"), std::string::npos) << got.message;
  const auto grown = read(raw(session, some_ids(40, 1), 200));
  EXPECT_EQ(grown.last.reason, KL_FINISH_CONTEXT_FULL);
  EXPECT_EQ(grown.ids, continuation(some_ids(40, 1), 25));
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

// D5: suspended at every token, the text is what it would have been, and no step runs meanwhile.
TEST_P(Scheduler, SuspendAtEveryTokenChangesNothing) {
  FakeEngine engine;
  kl_model* model = engine.load();
  kl_session* session = engine.session(model);
  const auto prompt = some_ids(30, 4);
  kl_send_options o{};
  o.event_queue = 2;
  kl_generation* generation = raw(session, prompt, 256, o);
  std::vector<int32_t> ids;
  kl_event e{};
  e.size = sizeof e;
  while (kl_generation_next(generation, 60000, &e) == KL_OK && e.kind < KL_EVENT_FINISHED) {
    if (e.kind != KL_EVENT_TOKEN) continue;
    ids.push_back(e.token);
    ASSERT_EQ(kl_engine_suspend(engine.handle), KL_OK);
    const uint64_t steps = engine.control->steps.load();
    kl_roofline roof{};
    roof.size = sizeof roof;
    ASSERT_EQ(kl_engine_measure(engine.handle, 0, &roof), KL_BUSY);
    ASSERT_EQ(engine.control->steps.load(), steps);
    ASSERT_EQ(kl_engine_resume(engine.handle), KL_OK);
  }
  EXPECT_EQ(ids, continuation(prompt, 256));
  (void)kl_generation_destroy(generation);
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

TEST_P(Scheduler, ModelsShareOneBudget) {
  FakeEngine engine(2500);
  kl_model* a = engine.load();
  kl_model* b = engine.load();
  ASSERT_NE(a, nullptr);
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(engine.load(), nullptr);
  EXPECT_NE(std::string(kl_last_error()).find("500"), std::string::npos) << kl_last_error();
  kl_session* sa = engine.session(a);
  kl_session* sb = engine.session(b);
  kl_generation* ga = raw(sa, some_ids(5, 1), 30);
  kl_generation* gb = raw(sb, some_ids(5, 2), 30);
  EXPECT_EQ(read(ga).ids, continuation(some_ids(5, 1), 30));
  EXPECT_EQ(read(gb).ids, continuation(some_ids(5, 2), 30));
  (void)kl_session_destroy(sa);
  (void)kl_model_destroy(a);
  kl_model* c = nullptr;  // the scheduler frees the model in its own time, before it takes the next load
  for (int i = 0; i < 100 && !c; ++i) c = engine.load();
  EXPECT_NE(c, nullptr) << kl_last_error();
  EXPECT_EQ(engine.control->runners.load(), 2);
  (void)kl_session_destroy(sb);
  (void)kl_model_destroy(b);
  (void)kl_model_destroy(c);
}

TEST_P(Scheduler, LoadReportsProgressAndCanBeStopped) {
  FakeEngine engine;
  struct Seen {
    std::thread::id thread;
    double last = -1;
    int stop_after = 1 << 30, calls = 0;
  } seen;
  kl_model_options options{};
  options.size = sizeof options;
  options.progress = [](void* user, double fraction) -> int32_t {
    auto& s = *static_cast<Seen*>(user);
    EXPECT_GE(fraction, s.last);
    s.last = fraction;
    s.thread = std::this_thread::get_id();
    return ++s.calls >= s.stop_after ? 1 : 0;
  };
  options.progress_user = &seen;
  kl_model* model = nullptr;
  EXPECT_EQ(kl_model_load(engine.handle, model_path(), &options, &model), KL_OK) << kl_last_error();
  EXPECT_EQ(seen.thread, std::this_thread::get_id());
  (void)kl_model_destroy(model);
}

TEST_P(Scheduler, DestroyingTheEngineStopsWhatRunsAndClosesTheRest) {
  auto engine = std::make_unique<FakeEngine>();
  kl_model* model = engine->load();
  kl_session* session = engine->session(model);
  kl_generation* generation = raw(session, some_ids(5, 1), 0, [] {
    kl_send_options o{};
    o.event_queue = 2;
    return o;
  }());
  ASSERT_NE(generation, nullptr);
  engine.reset();
  const auto got = read(generation);
  EXPECT_EQ(got.last.kind, KL_EVENT_STOPPED);
  kl_generation* next = nullptr;
  EXPECT_EQ(kl_session_send(session, "hello", nullptr, &next), KL_CLOSED);
  EXPECT_EQ(kl_session_destroy(session), KL_OK);
  EXPECT_EQ(kl_session_destroy(session), KL_INVALID_ARGUMENT);
  kl_sequence* sequence = nullptr;
  ASSERT_EQ(kl_sequence_new(model, &sequence), KL_OK);
  uint32_t length = 0;
  EXPECT_EQ(kl_sequence_length(sequence, &length), KL_CLOSED);
  EXPECT_EQ(kl_sequence_destroy(sequence), KL_OK);
  EXPECT_EQ(kl_model_destroy(model), KL_OK);
}

// The thread that is to end may be anywhere on its way to sleep, so often that it was everywhere (for a few seconds where threads are slow). One that misses its
// end makes this wait for ever.
TEST_P(Scheduler, EndsWhateverItsThreadIsDoing) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  for (int i = 0; i < 20000 && std::chrono::steady_clock::now() < until; ++i) {
    const FakeEngine engine;
    for (int spin = 0; spin < i % 200; ++spin) std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

}  // namespace
}  // namespace kl::fake
