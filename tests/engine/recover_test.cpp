// Lost devices through the C boundary, with a runner whose tokens show every row that was lost, repeated or computed from the wrong pages.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "fake_images.h"

namespace kl::fake {
namespace {

// Loses the device in front of the steps with these numbers, counted from here on.
void lose_at(Control& control, std::set<int> steps) {
  control.set([steps = std::move(steps), at = std::make_shared<int>(0)](const StepBatch&) {
    return steps.count((*at)++) > 0 ? error(Code::device_lost, "the driver was reset") : Status();
  });
}

kl_device_info device_of(kl_engine* engine) {
  kl_device_info info{};
  info.size = sizeof info;
  EXPECT_EQ(kl_engine_device(engine, &info), KL_OK);
  return info;
}
// Reads without letting go, so that the statistics can be asked for.
std::vector<int32_t> read_ids(kl_generation* generation, kl_event& last) {
  std::vector<int32_t> ids;
  last = {};
  last.size = sizeof last;
  while (kl_generation_next(generation, 60000, &last) == KL_OK && last.kind != KL_EVENT_NONE && last.kind < KL_EVENT_FINISHED) {
    if (last.kind == KL_EVENT_TOKEN && last.token >= 0) ids.push_back(last.token);
  }
  return ids;
}
uint64_t changes_of(kl_generation* generation) {
  kl_generation_stats stats{};
  stats.size = sizeof stats;
  EXPECT_EQ(kl_generation_get_stats(generation, &stats), KL_OK);
  return stats.device_changes;
}

class LostDevice : public BothWays {};
INSTANTIATE_TEST_SUITE_P(Steps, LostDevice, testing::Bool(), LostDevice::name_of);

// 100 rows in steps of 16 are steps 0 to 6, the tokens behind the first come in 7 to 15.
TEST_P(LostDevice, AGenerationGoesOnWhereverItWas) {
  for (int step = 0; step < 16; ++step) {
    FakeEngine engine;
    engine.control->spares = 1;
    kl_model_options options{};
    options.max_rows = 16;
    kl_model* model = engine.load(options);
    kl_session* session = engine.session(model);
    const auto prompt = some_ids(100, 1);
    lose_at(*engine.control, {step});
    kl_generation* generation = raw(session, prompt, 10);
    ASSERT_NE(generation, nullptr) << kl_last_error();
    kl_event last{};
    EXPECT_EQ(read_ids(generation, last), continuation(prompt, 10)) << "lost in front of step " << step;
    EXPECT_EQ(last.kind, KL_EVENT_FINISHED);
    EXPECT_EQ(last.reason, KL_FINISH_LENGTH);
    EXPECT_EQ(changes_of(generation), 1u);
    EXPECT_EQ(stats_of(engine.handle).devices_lost, 1u);
    EXPECT_EQ(engine.control->loads.load(), 2u);
    EXPECT_EQ(engine.control->runners.load(), 1);
    (void)kl_generation_destroy(generation);
    // The session's next turn continues the same cache.
    auto longer = prompt;
    for (const int32_t id : continuation(prompt, 10)) longer.push_back(id);
    const uint64_t rows = engine.control->rows.load();
    EXPECT_EQ(read(raw(session, longer, 3)).ids, continuation(longer, 3));
    EXPECT_EQ(engine.control->rows.load() - rows, 3u);
    (void)kl_session_destroy(session);
    (void)kl_model_destroy(model);
  }
}

TEST_P(LostDevice, IsNamedWithItsReasonAndWithWhatTookItsPlace) {
  std::mutex mutex;
  std::string lines;
  FakeEngine engine(0, [&](LogLevel level, std::string_view line) {
    const std::lock_guard lock(mutex);
    if (level >= LogLevel::warning) lines += std::string(line) + "\n";
  });
  engine.control->spares = 1;
  kl_model* model = engine.load();
  kl_session* session = engine.session(model);
  EXPECT_STREQ(device_of(engine.handle).name, "fake");
  EXPECT_STREQ(device_of(engine.handle).why, "the only one");
  lose_at(*engine.control, {3});
  EXPECT_EQ(read(raw(session, some_ids(20, 1), 10)).last.kind, KL_EVENT_FINISHED);
  const kl_device_info info = device_of(engine.handle);
  EXPECT_STREQ(info.name, "spare 1");
  EXPECT_STREQ(info.why, "went on here: fake was lost (the driver was reset)");
  const std::lock_guard lock(mutex);
  EXPECT_NE(lines.find("fake was lost (the driver was reset): going on on spare, spare 1"), std::string::npos) << lines;
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

TEST_P(LostDevice, OneAfterTheOtherUsesUpTheSparesAndThenFails) {
  for (const std::set<int>& steps : {std::set<int>{4, 5}, {4, 6}, {0, 1}, {9, 10, 11}}) {
    FakeEngine engine;
    engine.control->spares = 2;
    kl_model_options options{};
    options.max_rows = 16;
    kl_model* model = engine.load(options);
    kl_session* session = engine.session(model);
    const auto prompt = some_ids(60, 2);
    lose_at(*engine.control, steps);
    kl_generation* generation = raw(session, prompt, 12);
    kl_event last{};
    const auto ids = read_ids(generation, last);
    const auto all = continuation(prompt, 12);
    EXPECT_EQ(stats_of(engine.handle).devices_lost, steps.size());
    if (steps.size() == 2) {
      EXPECT_EQ(ids, all);
      EXPECT_EQ(changes_of(generation), 2u);
      EXPECT_STREQ(device_of(engine.handle).name, "spare 1");
    } else {
      EXPECT_EQ(last.status, KL_DEVICE_LOST);
      EXPECT_STREQ(last.text, "the driver was reset");
      EXPECT_TRUE(std::equal(ids.begin(), ids.end(), all.begin())) << "what came before the end is right";
      // For good, and at once.
      EXPECT_EQ(raw(session, prompt, 1), nullptr);
      EXPECT_STREQ(kl_last_error(), "the driver was reset");
    }
    (void)kl_generation_destroy(generation);
    (void)kl_session_destroy(session);
    (void)kl_model_destroy(model);
  }
}

TEST_P(LostDevice, ALoadOnTheNextOneMayLoseThatToo) {
  FakeEngine engine;
  engine.control->spares = 2;
  kl_model* model = engine.load();
  kl_session* session = engine.session(model);
  engine.control->set_load([](const Device& device, const LoadProgress&) {
    return device.info().name == "spare 2" ? error(Code::device_lost, "reset again") : Status();
  });
  lose_at(*engine.control, {5});
  const auto prompt = some_ids(40, 3);
  EXPECT_EQ(read(raw(session, prompt, 12)).ids, continuation(prompt, 12));
  EXPECT_EQ(stats_of(engine.handle).devices_lost, 2u);
  // And so may the load of another model.
  engine.control->set_load([](const Device&, const LoadProgress&) { return error(Code::device_lost, "reset for good"); });
  EXPECT_EQ(engine.load(), nullptr);
  EXPECT_STREQ(kl_last_error(), "reset for good");
  EXPECT_EQ(raw(session, prompt, 1), nullptr);
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

TEST_P(LostDevice, ALoadThatLosesItGoesOnOnTheNext) {
  FakeEngine engine;
  engine.control->spares = 1;
  engine.control->set_load([](const Device& device, const LoadProgress&) {
    return device.info().name == "fake" ? error(Code::device_lost, "reset") : Status();
  });
  kl_model* model = engine.load();
  ASSERT_NE(model, nullptr) << kl_last_error();
  kl_session* session = engine.session(model);
  EXPECT_EQ(read(raw(session, some_ids(40, 3), 5)).ids, continuation(some_ids(40, 3), 5));
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

TEST_P(LostDevice, AModelThatCannotGoOnFailsItsUsersAndIsTriedAgain) {
  FakeEngine engine;
  engine.control->spares = 1;
  kl_model_options options{};
  options.kv_tokens = 8192;
  kl_model* model = engine.load(options);
  kl_session* a = engine.session(model);
  kl_session* b = engine.session(model);
  EXPECT_EQ(read(raw(a, some_ids(50, 1), 4)).ids, continuation(some_ids(50, 1), 4));
  Gate gate(*engine.control);
  kl_generation* one = raw(a, some_ids(50, 1), 40);
  kl_generation* two = raw(b, some_ids(70, 2), 40);
  gate.wait_for_step();
  engine.control->set_load([](const Device&, const LoadProgress&) { return error(Code::out_of_memory, "9,000 bytes are needed"); });
  lose_at(*engine.control, {0});
  gate.open();
  for (kl_generation* generation : {one, two}) {
    const Reading got = read(generation);
    EXPECT_EQ(got.last.status, KL_DEVICE_LOST);
    EXPECT_NE(got.message.find("cannot go on on the spare backend: 9,000 bytes are needed"), std::string::npos) << got.message;
  }
  EXPECT_EQ(engine.control->loads.load(), 2u) << "one attempt for both";
  // As long as it is so, each try says so; nothing hangs.
  EXPECT_EQ(read(raw(a, some_ids(5, 1), 4)).last.status, KL_DEVICE_LOST);
  kl_model_info info{};
  info.size = sizeof info;
  EXPECT_EQ(kl_model_get_info(model, &info), KL_OK);
  char* text = nullptr;
  EXPECT_EQ(kl_model_text(model, KL_TEXT_PROGRAM, 1, &text, nullptr), KL_DEVICE_LOST);
  // And with memory again the sessions are as good as new.
  engine.control->set_load({});
  EXPECT_EQ(read(raw(b, some_ids(70, 2), 20)).ids, continuation(some_ids(70, 2), 20));
  EXPECT_EQ(read(raw(a, some_ids(50, 1), 20)).ids, continuation(some_ids(50, 1), 20));
  EXPECT_EQ(stats_of(engine.handle).devices_lost, 1u);
  (void)kl_session_destroy(a);
  (void)kl_session_destroy(b);
  (void)kl_model_destroy(model);
}

TEST_P(LostDevice, AConversationKeepsItsMessagesWhenItsTurnFails) {
  FakeEngine engine;
  engine.control->spares = 1;
  kl_model* model = engine.load();
  kl_session* session = engine.session(model, "Be brief.");
  EXPECT_EQ(read(send(session, "hello", {}, 5)).last.kind, KL_EVENT_FINISHED);
  const auto history = [&] {
    char* text = nullptr;
    EXPECT_EQ(kl_session_history(session, &text, nullptr), KL_OK) << kl_last_error();
    const std::string all = text ? text : "";
    kl_free(text);
    return all;
  };
  const std::string before = history();
  engine.control->set_load([](const Device&, const LoadProgress&) { return error(Code::out_of_memory, "no"); });
  lose_at(*engine.control, {2});
  EXPECT_EQ(read(send(session, "and now?", {}, 9)).last.status, KL_DEVICE_LOST);
  EXPECT_EQ(history(), before);
  engine.control->set_load({});
  EXPECT_EQ(read(send(session, "and now?", {}, 9)).last.kind, KL_EVENT_FINISHED);
  EXPECT_GT(history().size(), before.size());
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

TEST_P(LostDevice, OnlyModelsInUseAreLoadedAgain) {
  FakeEngine engine;
  engine.control->spares = 1;
  kl_model* used = engine.load();
  kl_model* idle = engine.load();
  kl_session* a = engine.session(used);
  kl_session* b = engine.session(idle);
  lose_at(*engine.control, {3});
  EXPECT_EQ(read(raw(a, some_ids(30, 1), 8)).ids, continuation(some_ids(30, 1), 8));
  EXPECT_EQ(engine.control->loads.load(), 3u);
  EXPECT_EQ(engine.control->runners.load(), 1);
  EXPECT_EQ(read(raw(b, some_ids(30, 2), 8)).ids, continuation(some_ids(30, 2), 8));
  EXPECT_EQ(engine.control->runners.load(), 2);
  for (kl_session* s : {a, b}) (void)kl_session_destroy(s);
  for (kl_model* m : {used, idle}) (void)kl_model_destroy(m);
}

// The load on the next device, held until let go, with its progress asked for all the while.
struct LoadGate {
  explicit LoadGate(Control& control) : control_(control) {
    control.set_load([this](const Device&, const LoadProgress& progress) -> Status {
      ++waiting;
      while (!open.load()) {
        if (progress && !progress(0.5)) return error(Code::cancelled, "the load was cancelled");
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      return {};
    });
  }
  ~LoadGate() { control_.set_load({}); }
  LoadGate(const LoadGate&) = delete;
  LoadGate& operator=(const LoadGate&) = delete;
  void wait_for_load(int number = 1) {
    while (waiting.load() < number) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::atomic<int> waiting = 0;
  std::atomic<bool> open = false;

 private:
  Control& control_;
};

TEST_P(LostDevice, CancelTakesEffectDuringTheLoad) {
  FakeEngine engine;
  engine.control->spares = 1;
  kl_model_options options{};
  options.kv_tokens = 8192;
  kl_model* model = engine.load(options);
  kl_session* a = engine.session(model);
  kl_session* b = engine.session(model);
  LoadGate gate(*engine.control);
  lose_at(*engine.control, {4});
  kl_generation* cancelled = raw(a, some_ids(30, 1), 30);
  kl_generation* other = raw(b, some_ids(30, 2), 30);
  gate.wait_for_load();
  (void)kl_generation_cancel(cancelled);
  EXPECT_EQ(read(cancelled).last.kind, KL_EVENT_STOPPED);  // while the load goes on
  gate.open = true;
  EXPECT_EQ(read(other).ids, continuation(some_ids(30, 2), 30));
  EXPECT_EQ(read(raw(a, some_ids(30, 1), 5)).ids, continuation(some_ids(30, 1), 5));
  (void)kl_session_destroy(a);
  (void)kl_session_destroy(b);
  (void)kl_model_destroy(model);
}

TEST_P(LostDevice, SuspendInterruptsTheLoadAndResumeTakesItUpAgain) {
  FakeEngine engine;
  engine.control->spares = 1;
  kl_model* model = engine.load();
  kl_session* session = engine.session(model);
  LoadGate gate(*engine.control);
  lose_at(*engine.control, {4});
  kl_generation* generation = raw(session, some_ids(30, 1), 30);
  gate.wait_for_load();
  EXPECT_EQ(kl_engine_suspend(engine.handle), KL_OK);
  EXPECT_EQ(gate.waiting.load(), 1);
  EXPECT_EQ(kl_engine_resume(engine.handle), KL_OK);
  gate.wait_for_load(2);
  gate.open = true;
  EXPECT_EQ(read(generation).ids, continuation(some_ids(30, 1), 30));
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

TEST_P(LostDevice, AnEngineThatIsDestroyedMeanwhileDoesNotWaitForTheLoad) {
  auto engine = std::make_unique<FakeEngine>();
  engine->control->spares = 1;
  kl_model* model = engine->load();
  kl_session* session = engine->session(model);
  const std::shared_ptr<Control> control = engine->control;
  LoadGate gate(*control);
  lose_at(*control, {4});
  kl_generation* generation = raw(session, some_ids(30, 1), 30);
  gate.wait_for_load();
  engine.reset();
  EXPECT_EQ(read(generation).last.kind, KL_EVENT_STOPPED);
  (void)kl_session_destroy(session);
  (void)kl_model_destroy(model);
}

// Sessions of all ages, sharing prefixes, a cache that is too small, slow steps, losses anywhere: every one gets its own tokens.
TEST_P(LostDevice, ManySessionsLoseNothingAtRandomMoments) {
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
    FakeEngine engine;
    engine.control->spares = 5;
    kl_model_options options{};
    options.context = 512;
    options.kv_tokens = below(2) == 0 ? 8192 : 768;
    options.max_rows = 8 + below(90);
    options.max_sequences = 1 + below(8);
    kl_model* model = engine.load(options);
    std::set<int> losses;
    for (uint32_t i = 0; i < 5; ++i) losses.insert(static_cast<int>(below(120)));
    lose_at(*engine.control, losses);
    const uint32_t count = 3 + below(8);
    std::vector<kl_session*> sessions;
    std::vector<kl_generation*> generations;
    std::vector<std::vector<int32_t>> prompts;
    std::vector<uint32_t> lengths;
    for (uint32_t i = 0; i < count; ++i) {
      auto prompt = some_ids(1 + below(200), 7);  // of one text, so that prefixes are shared
      const auto own = some_ids(1 + below(20), i + 100 * seed);
      prompt.insert(prompt.end(), own.begin(), own.end());
      sessions.push_back(engine.session(model));
      kl_send_options o{};
      o.event_queue = 1 + below(100);  // some readers are slow: all are read one after the other
      lengths.push_back(1 + below(60));
      generations.push_back(raw(sessions.back(), prompt, lengths.back(), o));
      prompts.push_back(std::move(prompt));
      ASSERT_NE(generations.back(), nullptr) << kl_last_error();
    }
    for (uint32_t i = 0; i < count; ++i) {
      const Reading got = read(generations[i]);
      EXPECT_EQ(got.ids, continuation(prompts[i], lengths[i])) << "seed " << seed << ", session " << i << ": " << got.message;
    }
    for (kl_session* s : sessions) (void)kl_session_destroy(s);
    (void)kl_model_destroy(model);
  }
}

// Temperature: the draw depends on seed and position only, so the text is the same as without the loss.
TEST_P(LostDevice, DrawnTokensAreThoseOfARunWithoutLoss) {
  const auto run = [](std::set<int> losses) {
    FakeEngine engine;
    engine.control->spares = 2;
    kl_model* model = engine.load();
    kl_session* session = engine.session(model);
    lose_at(*engine.control, std::move(losses));
    kl_sampling sampling{};
    sampling.size = sizeof sampling;
    sampling.temperature = 1.5f;
    sampling.top_k = 30;
    sampling.repeat_penalty = 1.2f;
    sampling.seed = 11;
    kl_send_options o{};
    o.sampling = &sampling;
    auto ids = read(raw(session, some_ids(30, 1), 40, o)).ids;
    (void)kl_session_destroy(session);
    (void)kl_model_destroy(model);
    return ids;
  };
  const auto plain = run({});
  EXPECT_EQ(plain.size(), 40u);
  EXPECT_EQ(run({7, 19}), plain);
}

TEST_P(LostDevice, AnEncodeStartsOverAndItsPictureBecomesReady) {
  for (int segment = 0; segment < 4; ++segment) {
    Eyes eyes;
    eyes.engine.control->spares = 1;
    eyes.engine.control->set_encode(
        [segment, at = std::make_shared<int>(0)] { return (*at)++ == segment ? error(Code::device_lost, "gone") : Status(); });
    const Picture p = picture(1);
    kl_session* session = eyes.session();
    kl_image* image = eyes.image(p);
    kl_generation* generation = send(session, "look: ", {image}, 12);  // waits for it
    EXPECT_EQ(wait_for(image).state, KL_IMAGE_READY) << segment;
    EXPECT_EQ(read(generation).ids, Slots(eyes.model).text("[user](").image(p).text(")look: \n[assistant]").then(12)) << segment;
    EXPECT_EQ(eyes.engine.control->encoders.load(), 1);
    EXPECT_EQ(stats_of(eyes.engine.handle).devices_lost, 1u);
  }
}

// A picture's rows are on the host: they are not computed again.
TEST_P(LostDevice, AConversationWithPicturesGoesOnFromTheirRows) {
  for (int step = 0; step < 10; ++step) {
    Eyes eyes({}, [](Control& c) { c.bidirectional = true; });
    eyes.engine.control->spares = 1;
    const Picture p = picture(1);
    kl_image* image = eyes.image(p);
    EXPECT_EQ(wait_for(image).state, KL_IMAGE_READY);
    lose_at(*eyes.engine.control, {step});
    EXPECT_EQ(read(send(eyes.session(), "look: ", {image}, 10)).ids,
              Slots(eyes.model, true).text("[user](").image(p).text(")look: \n[assistant]").then(10))
        << step;
    EXPECT_EQ(eyes.engine.control->tiles.load(), 1u);
  }
}

// A key names the encoder with its backend. Rows of another backend are this image's, but the cache does not take them for what the key says.
TEST_P(LostDevice, RowsOfAnotherBackendAreNotRememberedUnderTheOldKey) {
  Eyes eyes;
  eyes.engine.control->spares = 1;
  EncodeGate gate(*eyes.engine.control);
  kl_image* first = eyes.image(picture(1));
  gate.wait_for_segment();
  kl_image* twin = eyes.image(picture(1));  // waits for the first
  ASSERT_TRUE(reaches(twin, KL_IMAGE_WAITING));
  eyes.engine.control->set_encode([at = std::make_shared<int>(0)] { return (*at)++ == 0 ? error(Code::device_lost, "gone") : Status(); });
  gate.open();
  EXPECT_EQ(wait_for(first).state, KL_IMAGE_READY);
  EXPECT_EQ(wait_for(twin).state, KL_IMAGE_READY);
  EXPECT_EQ(eyes.engine.control->tiles.load(), 2u);
  EXPECT_STREQ(info_of(first).key, info_of(twin).key);
  // From now on keys are those of the new encoder, and it remembers.
  kl_image* again = eyes.image(picture(1));
  EXPECT_EQ(wait_for(again).state, KL_IMAGE_READY);
  EXPECT_STRNE(info_of(again).key, info_of(first).key);
  EXPECT_EQ(eyes.engine.control->tiles.load(), 3u);
  EXPECT_EQ(wait_for(eyes.image(picture(1))).state, KL_IMAGE_READY);
  EXPECT_EQ(eyes.engine.control->tiles.load(), 3u);
}

TEST_P(LostDevice, AnImageOfAModelThatCannotGoOnFails) {
  Eyes eyes;
  eyes.engine.control->spares = 1;
  eyes.engine.control->set_load(
      [](const Device& device, const LoadProgress&) { return device.info().name == "fake" ? Status() : error(Code::out_of_memory, "no"); });
  eyes.engine.control->set_encode([at = std::make_shared<int>(0)] { return (*at)++ == 0 ? error(Code::device_lost, "gone") : Status(); });
  kl_image* image = eyes.image(picture(1));
  EXPECT_EQ(wait_for(image).status, KL_DEVICE_LOST);
  eyes.engine.control->set_load({});
  EXPECT_EQ(wait_for(eyes.image(picture(2))).state, KL_IMAGE_READY);
}

struct Sequences {
  explicit Sequences(int spares) {
    engine.control->spares = spares;
    kl_model_options options{};
    options.context = 512;
    options.kv_tokens = 8192;
    options.max_rows = 32;
    options.max_logit_rows = 8;
    model = engine.load(options);
    EXPECT_EQ(kl_sequence_new(model, &sequence), KL_OK);
  }
  ~Sequences() {
    (void)kl_sequence_destroy(sequence);
    (void)kl_model_destroy(model);
  }
  Sequences(const Sequences&) = delete;
  Sequences& operator=(const Sequences&) = delete;
  // Appends and compares the last two rows of logits with what follows from all ids.
  kl_status evaluate(kl_sequence* to, std::vector<int32_t>& all, const std::vector<int32_t>& ids) const {
    std::vector<float> logits(size_t{2} * kVocabulary, -1);
    kl_evaluation e{};
    e.size = sizeof e;
    e.sequence = to;
    e.ids = ids.data();
    e.count = ids.size();
    e.logits = logits.data();
    e.logit_rows = 2;
    const kl_status status = kl_evaluate(model, &e, 1, nullptr);
    if (status != KL_OK) return status;
    all.insert(all.end(), ids.begin(), ids.end());
    for (size_t row = 0; row < 2; ++row) {
      const uint64_t content = content_of(std::vector<int32_t>(all.begin(), all.end() - 1 + static_cast<ptrdiff_t>(row)));
      for (uint32_t v = 0; v < kVocabulary; ++v) EXPECT_EQ(logits[row * kVocabulary + v], logit(content, v)) << row << " " << v;
    }
    return status;
  }
  FakeEngine engine;
  kl_model* model = nullptr;
  kl_sequence* sequence = nullptr;
};

TEST_P(LostDevice, EvaluationsGoOnFromTheSequencesTokens) {
  for (int step = 0; step < 9; ++step) {
    Sequences s(1);
    std::vector<int32_t> all;
    lose_at(*s.engine.control, {step});
    for (uint32_t i = 0; i < 4; ++i) EXPECT_EQ(s.evaluate(s.sequence, all, some_ids(70, i)), KL_OK) << kl_last_error();  // three steps each
    EXPECT_EQ(stats_of(s.engine.handle).devices_lost, 1u) << step;
  }
}

TEST_P(LostDevice, ASequenceIsCutAndForkedBeforeItIsComputedAgain) {
  Sequences s(1);
  std::vector<int32_t> all;
  EXPECT_EQ(s.evaluate(s.sequence, all, some_ids(100, 1)), KL_OK);
  kl_session* session = s.engine.session(s.model);
  lose_at(*s.engine.control, {2});
  EXPECT_EQ(read(raw(session, some_ids(20, 1), 5)).ids, continuation(some_ids(20, 1), 5));
  EXPECT_EQ(kl_sequence_truncate(s.sequence, 61), KL_OK) << kl_last_error();
  all.resize(61);
  kl_sequence* copy = nullptr;
  EXPECT_EQ(kl_sequence_fork(s.sequence, &copy), KL_OK) << kl_last_error();
  uint32_t length = 0;
  EXPECT_EQ(kl_sequence_length(copy, &length), KL_OK);
  EXPECT_EQ(length, 61u);
  std::vector<int32_t> other = all;
  EXPECT_EQ(s.evaluate(s.sequence, all, some_ids(9, 5)), KL_OK) << kl_last_error();
  EXPECT_EQ(s.evaluate(copy, other, some_ids(30, 6)), KL_OK) << kl_last_error();
  (void)kl_sequence_destroy(copy);
  (void)kl_session_destroy(session);
}

TEST_P(LostDevice, AnEvaluationThatFailsLeavesTheSequenceAsItWas) {
  Sequences s(1);
  std::vector<int32_t> all;
  EXPECT_EQ(s.evaluate(s.sequence, all, some_ids(100, 1)), KL_OK);
  // The next device takes a step of the recomputation, and then an error that is no loss comes.
  s.engine.control->set([at = std::make_shared<int>(0)](const StepBatch&) {
    const int now = (*at)++;
    return now == 0 ? error(Code::device_lost, "gone") : now == 3 ? error(Code::internal, "no numbers") : Status();
  });
  std::vector<int32_t> unchanged = all;
  EXPECT_EQ(s.evaluate(s.sequence, unchanged, some_ids(40, 2)), KL_INTERNAL);
  uint32_t length = 0;
  EXPECT_EQ(kl_sequence_length(s.sequence, &length), KL_OK);
  EXPECT_EQ(length, 100u);
  EXPECT_EQ(s.evaluate(s.sequence, all, some_ids(40, 2)), KL_OK) << kl_last_error();
  // No device any more: the same answer as ever, and no hang.
  lose_at(*s.engine.control, {0});
  EXPECT_EQ(s.evaluate(s.sequence, all, some_ids(4, 2)), KL_DEVICE_LOST);
  EXPECT_EQ(s.evaluate(s.sequence, all, some_ids(4, 2)), KL_DEVICE_LOST);
}

TEST_P(LostDevice, EvaluationsAndGenerationsLoseItUnderEachOther) {
  for (int step = 1; step < 30; step += 3) {
    Sequences s(2);
    kl_session* session = s.engine.session(s.model);
    lose_at(*s.engine.control, {step, step + 5});
    kl_send_options o{};
    o.event_queue = 200;
    kl_generation* generation = raw(session, some_ids(40, 3), 60, o);
    std::vector<int32_t> all;
    for (uint32_t i = 0; i < 4; ++i) EXPECT_EQ(s.evaluate(s.sequence, all, some_ids(100, i)), KL_OK) << kl_last_error();
    EXPECT_EQ(read(generation).ids, continuation(some_ids(40, 3), 60));
    EXPECT_EQ(stats_of(s.engine.handle).devices_lost, 2u);
    (void)kl_session_destroy(session);
  }
}

// What the real devices' order is, and the app's word against it.
TEST_P(LostDevice, TheCpuComesAfterVulkanAndNothingAfterTheCpu) {
  DeviceInfo lost;
  lost.backend = "vulkan";
  const EngineOptions options{.backend = Backend::vulkan, .threads = 1, .log = {}, .cache_dir = {}, .features = {}};
  const auto next = parts_for(options).open_next(lost);
  ASSERT_TRUE(next.ok()) << next.status().message();
  EXPECT_EQ(next->device->info().backend, "cpu");
  lost.backend = "cpu";
  EXPECT_FALSE(parts_for(options).open_next(lost).ok());
  EngineOptions fixed = options;
  fixed.go_on_elsewhere = false;
  lost.backend = "vulkan";
  EXPECT_FALSE(parts_for(fixed).open_next(lost).ok());
}

}  // namespace
}  // namespace kl::fake
