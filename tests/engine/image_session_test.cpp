// Conversations about images: where their rows stand, who waits for whom, and that nothing of it changes a token.
#include <gtest/gtest.h>

#include "fake_images.h"

namespace kl::fake {
namespace {

void see_both_ways(Control& control) { control.bidirectional = true; }

TEST(ImageSession, RowsStandWhereTheTemplateWritesAnImage) {
  Eyes eyes;
  const Picture p = picture(1);
  kl_session* session = eyes.session();
  const Reading answer = read(send(session, "Hello", {eyes.image(p)}));
  EXPECT_EQ(answer.ids, Slots(eyes.model).text("[user](").image(p).text(")Hello\n[assistant]").then(8)) << answer.message;
  EXPECT_EQ(answer.last.kind, KL_EVENT_FINISHED);
}

TEST(ImageSession, ATemplateThatKnowsOnlyTextsGetsTheImageInFrontOfThem) {
  Eyes eyes;
  const Picture p = picture(1);
  kl_session* session = eyes.session(chat_template());
  const Reading answer = read(send(session, "Hello", {eyes.image(p)}));
  EXPECT_EQ(answer.ids, Slots(eyes.model).text("[user][(").image(p).text(")]Hello\n[assistant]").then(8)) << answer.message;
}

TEST(ImageSession, SeveralImagesAnywhereInTheText) {
  for (const bool parts : {true, false}) {
    Eyes eyes;
    const Picture a = picture(1), b = picture(2);
    kl_session* session = eyes.session(parts ? parts_template() : chat_template());
    kl_image* images[] = {eyes.image(a), eyes.image(b), eyes.image(a)};
    kl_send_options options{};
    options.size = sizeof options;
    options.max_tokens = 5;
    options.images = images;
    options.image_count = 3;
    kl_generation* generation = nullptr;
    ASSERT_EQ(kl_session_send_json(session,
                                   R"({"role": "user", "content": [{"type": "text", "text": "Is"}, {"type": "image"},
                                       {"type": "text", "text": "larger than"}, {"type": "image"}, {"type": "image"}]})",
                                   &options, &generation),
              KL_OK)
        << kl_last_error();
    const std::string open = parts ? "(" : "[(", close = parts ? ")" : ")]";
    const auto expected = Slots(eyes.model)
                              .text("[user]Is" + open)
                              .image(a)
                              .text(close + "larger than" + open)
                              .image(b)
                              .text(close + open)
                              .image(a)
                              .text(close + "\n[assistant]")
                              .then(5);
    EXPECT_EQ(read(generation).ids, expected) << parts;
  }
}

TEST(ImageSession, AFollowUpComputesOnlyWhatIsNew) {
  Eyes eyes;
  const Picture a = picture(1), b = picture(2);
  kl_session* session = eyes.session();
  const Reading first = read(send(session, "Hello", {eyes.image(a)}, 6));
  ASSERT_EQ(first.ids.size(), 6u) << first.message;
  const uint64_t rows = eyes.engine.control->rows.load();
  kl_generation* generation = send(session, "More", {eyes.image(b)}, 1);
  ASSERT_NE(generation, nullptr) << kl_last_error();
  EXPECT_EQ(read(generation).last.kind, KL_EVENT_FINISHED);
  EXPECT_LT(eyes.engine.control->rows.load() - rows, 16u + 60u);  // not the first turn's
  char* history = nullptr;
  ASSERT_EQ(kl_session_history(session, &history, nullptr), KL_OK);
  const std::string text = history;
  kl_free(history);
  EXPECT_NE(text.find(std::string("{\"type\":\"image\",\"image\":\"") + info_of(eyes.images[0]).key + "\"}"), std::string::npos) << text;
  EXPECT_NE(text.find(info_of(eyes.images[1]).key), std::string::npos);

  // Elsewhere: the images are found by their keys.
  const uint64_t tiles = eyes.engine.control->tiles.load();
  kl_session* other = eyes.session();
  ASSERT_EQ(kl_session_restore(other, text.c_str()), KL_OK) << kl_last_error();
  kl_session* fork = nullptr;
  ASSERT_EQ(kl_session_fork(session, &fork), KL_OK);
  eyes.sessions.push_back(fork);
  const auto next = read(send(session, "Again", {}, 6)).ids;
  EXPECT_EQ(read(send(other, "Again", {}, 6)).ids, next);
  EXPECT_EQ(read(send(fork, "Again", {}, 6)).ids, next);
  EXPECT_EQ(eyes.engine.control->tiles.load(), tiles);
  ASSERT_EQ(kl_session_history(other, &history, nullptr), KL_OK);
  EXPECT_NE(std::string(history).find(info_of(eyes.images[0]).key), std::string::npos);
  kl_free(history);

  // What is not remembered is named.
  std::string unknown = text;
  unknown.replace(unknown.find(info_of(eyes.images[1]).key), 8, "01234567");
  EXPECT_EQ(kl_session_restore(other, unknown.c_str()), KL_NOT_FOUND);
  EXPECT_NE(std::string(kl_last_error()).find("01234567"), std::string::npos);
  EXPECT_EQ(kl_session_restore(other, R"([{"role": "user", "content": [{"type": "image", "image": "http://x"}]}])"), KL_INVALID_ARGUMENT);
  EXPECT_EQ(kl_session_restore(other, R"([{"role": "user", "content": [{"type": "image"}]}])"), KL_INVALID_ARGUMENT);
  EXPECT_EQ(read(send(other, "Still", {}, 2)).last.kind, KL_EVENT_FINISHED);
  EXPECT_EQ(kl_session_reset(other), KL_OK);
  EXPECT_EQ(read(send(other, "Still", {}, 2)).ids, Slots(eyes.model).text("[user]Still\n[assistant]").then(2));
}

TEST(ImageSession, WhatUsersTypeIsNeverAnImage) {
  for (const char* form : {parts_template(), chat_template()}) {
    Eyes eyes;
    const Picture p = picture(1);
    kl_session* session = eyes.session(form);
    const bool parts = form == parts_template();
    const Reading answer = read(send(session, "<image> and <image>", {eyes.image(p)}, 4));
    EXPECT_EQ(answer.ids, Slots(eyes.model)
                              .text(parts ? "[user](" : "[user][(")
                              .image(p)
                              .text(std::string(parts ? ")" : ")]") + "<image> and <image>\n[assistant]")
                              .then(4))
        << answer.message;
    kl_session* plain = eyes.session(form);
    EXPECT_EQ(read(send(plain, "<image>", {}, 4)).ids, Slots(eyes.model).text("[user]<image>\n[assistant]").then(4));
  }
}

TEST(ImageSession, AMessageWaitsForItsImagesWhileOthersAreAnswered) {
  Eyes eyes;
  EncodeGate gate(*eyes.engine.control);
  const Picture p = picture(1);
  kl_image* image = eyes.image(p);
  kl_session* sees = eyes.session();
  kl_generation* waits = send(sees, "Hello", {image});
  ASSERT_NE(waits, nullptr) << kl_last_error();
  gate.wait_for_segment();
  EXPECT_EQ(kl_session_reset(sees), KL_BUSY);
  kl_event e{};
  e.size = sizeof e;
  EXPECT_EQ(kl_generation_next(waits, 0, &e), KL_OK);
  EXPECT_EQ(e.kind, KL_EVENT_NONE);
  EXPECT_EQ(kl_image_destroy(std::exchange(eyes.images[0], nullptr)), KL_OK);  // the message keeps it
  gate.open();
  EXPECT_EQ(read(waits).ids, Slots(eyes.model).text("[user](").image(p).text(")Hello\n[assistant]").then(8));
  kl_generation_stats stats{};
  stats.size = sizeof stats;

  // Text goes on between the segments of an encode.
  eyes.engine.control->tile_segments = 40;
  eyes.engine.control->set_encode([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    return Status();
  });
  kl_session* reads = eyes.session();
  kl_image* next = eyes.image(picture(2));
  kl_generation* about_it = send(sees, "And this", {next});
  const auto prompt = some_ids(40, 1);
  EXPECT_EQ(read(raw(reads, prompt, 30)).ids, continuation(prompt, 30));
  EXPECT_NE(info_of(next).state, KL_IMAGE_READY);  // 120 ms of segments did not hold up 30 steps
  EXPECT_EQ(read(about_it).last.kind, KL_EVENT_FINISHED);
  EXPECT_EQ(info_of(next).state, KL_IMAGE_READY);
}

// Segments that run between two steps of text, at most and in all.
std::pair<uint64_t, uint64_t> segments_between_steps(bool unsliced) {
  Eyes eyes;
  Control& control = *eyes.engine.control;
  control.tile_segments = 30;
  std::atomic<uint64_t> in_a_row = 0, longest = 0, while_text = 0;
  std::atomic<bool> text = false;
  control.set_encode([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(6));  // more than a slice
    ++in_a_row;
    if (text) {
      ++while_text;
      if (in_a_row > longest) longest = in_a_row.load();
    }
    return Status();
  });
  control.set([&](const StepBatch&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    in_a_row = 0;
    return Status();
  });
  kl_session* session = eyes.session();
  kl_generation* generation = raw(session, some_ids(5, 1), 60);
  kl_event e{};
  e.size = sizeof e;
  while (e.kind != KL_EVENT_TOKEN) (void)kl_generation_next(generation, 60000, &e);
  text = true;
  kl_image_options options{};
  options.unsliced = unsliced ? 1 : 0;
  kl_image* image = eyes.image(picture(1), options);
  (void)read(generation);
  text = false;
  EXPECT_EQ(wait_for(image).state, KL_IMAGE_READY);
  (void)kl_engine_resume(eyes.engine.handle);
  control.set({});
  control.set_encode({});
  return {longest.load(), while_text.load()};
}

TEST(ImageSession, SlicesLeaveStepsInBetweenAndUnslicedOnesDoNot) {
  const auto sliced = segments_between_steps(false);
  EXPECT_EQ(sliced.first, 1u);    // each is a slice, and its debt at least one step
  EXPECT_LT(sliced.second, 15u);  // 6 ms each, 14 ms of steps behind each, 60 steps of 1 ms (and what a busy machine adds)
  const auto unsliced = segments_between_steps(true);
  EXPECT_GE(unsliced.first, 29u);
}

TEST(ImageSession, AnImageThatFailsFailsTheMessageAndTakesItBack) {
  Eyes eyes;
  const Picture p = picture(1);
  kl_session* session = eyes.session();
  EXPECT_EQ(read(send(session, "One", {eyes.image(p)}, 3)).last.kind, KL_EVENT_FINISHED);
  eyes.engine.control->set_encode([] { return error(Code::internal, "a segment failed"); });
  const Reading failed = read(send(session, "Two", {eyes.image(p), eyes.image(picture(2))}, 3));
  EXPECT_EQ(failed.last.kind, KL_EVENT_FAILED);
  EXPECT_EQ(failed.last.status, KL_INTERNAL);
  EXPECT_EQ(failed.message, "a segment failed");
  eyes.engine.control->set_encode({});

  EncodeGate gate(*eyes.engine.control);
  kl_image* image = eyes.image(picture(3));
  kl_generation* waits = send(session, "Three", {image}, 3);
  gate.wait_for_segment();
  EXPECT_EQ(kl_image_cancel(image), KL_OK);
  gate.open();
  const Reading cancelled = read(waits);
  EXPECT_EQ(cancelled.last.kind, KL_EVENT_FAILED);
  EXPECT_EQ(cancelled.last.status, KL_CANCELLED);

  char* history = nullptr;
  ASSERT_EQ(kl_session_history(session, &history, nullptr), KL_OK);
  EXPECT_EQ(std::string(history).find("Two"), std::string::npos);
  EXPECT_EQ(std::string(history).find("Three"), std::string::npos);
  kl_free(history);
  EXPECT_EQ(read(send(session, "Four", {eyes.image(picture(3))}, 3)).last.kind, KL_EVENT_FINISHED);
}

TEST(ImageSession, AWaitingMessageCanBeStoppedAndItsSessionDestroyed) {
  Eyes eyes;
  EncodeGate gate(*eyes.engine.control);
  kl_image* image = eyes.image(picture(1));
  kl_session* session = eyes.session();
  kl_generation* generation = send(session, "Hello", {image});
  gate.wait_for_segment();
  EXPECT_EQ(kl_generation_cancel(generation), KL_OK);
  kl_generation* orphan = send(eyes.session(), "Hello", {image});
  EXPECT_EQ(kl_session_destroy(eyes.sessions.back()), KL_OK);
  eyes.sessions.pop_back();
  gate.open();
  EXPECT_EQ(read(generation).last.kind, KL_EVENT_STOPPED);
  EXPECT_EQ(read(orphan).last.kind, KL_EVENT_STOPPED);
  EXPECT_EQ(wait_for(image).state, KL_IMAGE_READY);  // others may want it
  EXPECT_EQ(read(send(session, "Hello", {image}, 2)).last.kind, KL_EVENT_FINISHED);
}

TEST(ImageSession, PositionsFollowTheGridInGeneratedRowsToo) {
  Eyes eyes({}, [](Control& c) { c.grid_positions = true; });
  const Picture p = picture(1);
  kl_session* session = eyes.session();
  const Reading answer = read(send(session, "Hello", {eyes.image(p)}, 12));
  EXPECT_EQ(answer.ids, Slots(eyes.model, false, true).text("[user](").image(p).text(")Hello\n[assistant]").then(12)) << answer.message;
}

TEST(ImageSession, ChunksChangeNothingAndNeverCutAnImageThatSeesItself) {
  const Picture a = picture(1), b = picture(2);
  for (const bool both_ways : {false, true}) {
    for (const uint32_t rows : {1u, 7u, 16u, 17u, 512u}) {
      kl_model_options options{};
      options.max_rows = rows;
      Eyes eyes(options, both_ways ? &see_both_ways : nullptr);
      kl_session* session = eyes.session();
      kl_generation* generation = send(session, "Hello", {eyes.image(a), eyes.image(b)}, 6);
      const Reading answer = read(generation);
      if (both_ways && rows < 16) {
        EXPECT_TRUE(generation == nullptr || answer.last.kind == KL_EVENT_FAILED) << rows;
        EXPECT_NE(answer.message.find("max_rows"), std::string::npos) << answer.message;
        EXPECT_EQ(read(send(session, "Text", {}, 2)).last.kind, KL_EVENT_FINISHED);
        continue;
      }
      EXPECT_EQ(answer.ids, Slots(eyes.model, both_ways).text("[user](").image(a).text(")(").image(b).text(")Hello\n[assistant]").then(6))
          << rows << answer.message;
    }
  }
}

TEST(ImageSession, APreemptedConversationAboutImagesGivesTheSameTokens) {
  for (const bool both_ways : {false, true}) {
    kl_model_options options{};
    options.context = 192;
    options.kv_tokens = 224;  // for two at most, and not to their ends
    options.max_rows = 24;
    Eyes eyes(options, both_ways ? &see_both_ways : nullptr);
    std::vector<kl_generation*> generations;
    for (uint32_t i = 0; i < 4; ++i) {
      generations.push_back(send(eyes.session(), "Hello", {eyes.image(picture(i)), eyes.image(picture(9))}, 60));
      ASSERT_NE(generations.back(), nullptr) << kl_last_error();
    }
    for (uint32_t i = 0; i < 4; ++i) {
      const Reading answer = read(generations[i]);
      EXPECT_EQ(
          answer.ids,
          Slots(eyes.model, both_ways).text("[user](").image(picture(i)).text(")(").image(picture(9)).text(")Hello\n[assistant]").then(60))
          << i << answer.message;
    }
  }
}

TEST(ImageSession, SessionsShareThePrefixOfAnImage) {
  for (const bool both_ways : {false, true}) {
    Eyes eyes({}, both_ways ? &see_both_ways : nullptr);
    const Picture p = picture(1);
    (void)read(send(eyes.session(), "Hello, this is a long message", {eyes.image(p)}, 2));
    const uint64_t rows = eyes.engine.control->rows.load();
    const Reading answer = read(send(eyes.session(), "Hello, this is another", {eyes.image(p)}, 2));
    const Slots slots = Slots(eyes.model, both_ways).text("[user](").image(p).text(")Hello, this is another\n[assistant]");
    EXPECT_EQ(answer.ids, slots.then(2));
    EXPECT_EQ(eyes.engine.control->rows.load() - rows, slots.size() - 32 + 1) << both_ways;
    // Another picture shares nothing of it.
    const Reading other = read(send(eyes.session(), "Hello, this is another", {eyes.image(picture(2))}, 2));
    EXPECT_EQ(other.ids,
              Slots(eyes.model, both_ways).text("[user](").image(picture(2)).text(")Hello, this is another\n[assistant]").then(2));
  }
}

TEST(ImageSession, WrongImagesAreErrorsAndLeaveTheSessionAsItWas) {
  Eyes eyes;
  kl_session* session = eyes.session();
  kl_image* image = eyes.image(picture(1));
  kl_generation* generation = nullptr;
  kl_send_options options{};
  options.size = sizeof options;
  options.images = &image;
  options.image_count = 1;
  const char* two = R"({"role": "user", "content": [{"type": "image"}, {"type": "image"}]})";
  EXPECT_EQ(kl_session_send_json(session, two, &options, &generation), KL_INVALID_ARGUMENT);
  EXPECT_EQ(kl_session_send_json(session, R"({"role": "user", "content": "a"})", &options, &generation), KL_INVALID_ARGUMENT);
  kl_prompt prompt{};
  prompt.size = sizeof prompt;
  prompt.text = "a";
  prompt.text_length = 1;
  EXPECT_EQ(kl_session_generate_raw(session, &prompt, &options, &generation), KL_INVALID_ARGUMENT);
  options.image_count = 65;
  EXPECT_EQ(kl_session_send(session, "a", &options, &generation), KL_INVALID_ARGUMENT);
  options.images = nullptr;
  options.image_count = 1;
  EXPECT_EQ(kl_session_send(session, "a", &options, &generation), KL_INVALID_ARGUMENT);
  kl_image* null = nullptr;
  options.images = &null;
  EXPECT_EQ(kl_session_send(session, "a", &options, &generation), KL_INVALID_ARGUMENT);
  Eyes stranger;
  kl_image* foreign = stranger.image(picture(1));
  options.images = &foreign;
  EXPECT_EQ(kl_session_send(session, "a", &options, &generation), KL_INVALID_ARGUMENT);
  EXPECT_EQ(generation, nullptr);
  // A model without a projector.
  kl_model* blind = eyes.engine.load();
  kl_session* unseeing = eyes.engine.session(blind);
  options.images = &image;
  EXPECT_EQ(kl_session_send(unseeing, "a", &options, &generation), KL_UNSUPPORTED);
  EXPECT_EQ(kl_session_send_json(unseeing, two, nullptr, &generation), KL_UNSUPPORTED);
  const Picture p = picture(1);
  const kl_image_source source = source_of(p);
  EXPECT_EQ(kl_image_open(blind, &source, nullptr, &image), KL_UNSUPPORTED);
  (void)kl_session_destroy(unseeing);
  (void)kl_model_destroy(blind);
  // A template that writes one image of a message only.
  kl_session* forgets = eyes.session(
      "{% for m in messages %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% elif loop.index == 1 %}<image>{% endif %}"
      "{% endfor %}{% endfor %}");
  const Picture q = picture(1);
  kl_image* again = eyes.image(q);
  EXPECT_EQ(send(forgets, "a", {again, again}), nullptr);
  EXPECT_NE(std::string(kl_last_error()).find("1 of 2 images"), std::string::npos) << kl_last_error();
  EXPECT_EQ(read(send(session, "Hello", {}, 2)).ids, Slots(eyes.model).text("[user]Hello\n[assistant]").then(2));
  kl_generation* too_long = nullptr;
  kl_model_options small{};
  small.size = sizeof small;
  small.context = 32;
  Eyes narrow(small);
  kl_image* one = narrow.image(picture(1));
  too_long = send(narrow.session(), "Hello there, how are you?", {one});
  const Reading full = read(too_long);
  EXPECT_TRUE(too_long == nullptr || full.last.status == KL_CONTEXT_FULL) << full.message;
}

TEST(ImageSession, EvaluationTakesRowsWhereTheImageTokenStands) {
  const Picture a = picture(1), b = picture(2);
  for (const bool both_ways : {false, true}) {
    std::vector<float> first;
    for (const uint32_t rows : {512u, 40u, 16u}) {
      kl_model_options options{};
      options.max_rows = rows;
      Eyes eyes(options, both_ways ? &see_both_ways : nullptr);
      kl_image* images[] = {eyes.image(a), eyes.image(b)};
      for (kl_image* image : images) (void)wait_for(image);
      std::vector<int32_t> ids = some_ids(30, 3);
      for (int32_t& id : ids) id = id == 9 ? 10 : id;
      ids.insert(ids.end(), 16, 9);
      ids.push_back(11);
      ids.insert(ids.end(), 16, 9);
      ids.push_back(12);
      kl_sequence* sequence = nullptr;
      ASSERT_EQ(kl_sequence_new(eyes.model, &sequence), KL_OK);
      std::vector<float> logits(2 * kVocabulary);
      kl_evaluation e{};
      e.size = sizeof e;
      e.sequence = sequence;
      e.ids = ids.data();
      e.count = ids.size();
      e.logits = logits.data();
      e.logit_rows = 2;
      e.images = images;
      e.image_count = 2;
      e.image_token = 9;
      ASSERT_EQ(kl_evaluate(eyes.model, &e, 1, nullptr), KL_OK) << kl_last_error();
      if (first.empty()) {
        const auto then =
            Slots(eyes.model, both_ways).tokens({ids.begin(), ids.begin() + 30}).image(a).token(11).image(b).token(12).then(1);
        EXPECT_EQ(std::max_element(logits.begin() + kVocabulary, logits.end()) - logits.begin() - kVocabulary, then[0]);
        first = logits;
      }
      EXPECT_EQ(logits, first) << rows;
      // Their numbers must agree, and the images be there.
      const auto fails = [&](kl_status status) {
        kl_sequence* fresh = nullptr;
        (void)kl_sequence_new(eyes.model, &fresh);
        e.sequence = fresh;
        EXPECT_EQ(kl_evaluate(eyes.model, &e, 1, nullptr), status) << kl_last_error();
        uint32_t length = 1;
        EXPECT_EQ(kl_sequence_length(fresh, &length), KL_OK);
        EXPECT_EQ(length, 0u);
        (void)kl_sequence_destroy(fresh);
      };
      e.image_count = 1;
      fails(KL_INVALID_ARGUMENT);
      e.image_count = 2;
      e.count = ids.size() - 2;
      fails(KL_INVALID_ARGUMENT);
      e.count = ids.size();
      e.images = nullptr;
      fails(KL_INVALID_ARGUMENT);
      e.images = images;
      EncodeGate gate(*eyes.engine.control);
      kl_image* busy[] = {images[0], eyes.image(picture(3))};
      e.images = busy;
      e.sequence = sequence;
      EXPECT_EQ(kl_evaluate(eyes.model, &e, 1, nullptr), KL_BUSY);
      gate.open();
      (void)kl_sequence_destroy(sequence);
    }
  }
}

}  // namespace
}  // namespace kl::fake
