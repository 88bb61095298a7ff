// Conversations through the C boundary: messages, history, options, ends.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fake_runner.h"

namespace kl::fake {
namespace {

using nlohmann::json;

struct Chat {
  Chat() {
    kl_model_options options{};
    options.context = 1024;
    options.kv_tokens = 8192;
    model = engine.load(options);
    session = engine.session(model, "Be brief.");
  }
  ~Chat() {
    (void)kl_session_destroy(session);
    (void)kl_model_destroy(model);
  }
  kl_generation* send(const char* text, uint32_t max_tokens, kl_send_options options = {}) const {
    options.size = sizeof options;
    options.max_tokens = max_tokens;
    kl_generation* generation = nullptr;
    EXPECT_EQ(kl_session_send(session, text, &options, &generation), KL_OK) << kl_last_error();
    return generation;
  }
  static json history(kl_session* of) {
    char* text = nullptr;
    EXPECT_EQ(kl_session_history(of, &text, nullptr), KL_OK) << kl_last_error();
    json out = json::parse(text);
    kl_free(text);
    return out;
  }
  std::vector<int32_t> ids(const std::string& text) const {
    int32_t* data = nullptr;
    size_t count = 0;
    EXPECT_EQ(kl_tokenize(model, text.data(), text.size(), nullptr, &data, &count), KL_OK);
    std::vector<int32_t> out(data, data + count);
    kl_free(data);
    return out;
  }
  FakeEngine engine;
  kl_model* model = nullptr;
  kl_session* session = nullptr;
};

TEST(Session, TheConversationIsRenderedAndRemembered) {
  Chat chat;
  const auto first = read(chat.send("Hello", 8));
  EXPECT_EQ(first.ids, continuation(chat.ids("[system]Be brief.\n[user]Hello\n[assistant]"), 8));
  const json one = Chat::history(chat.session);
  ASSERT_EQ(one.size(), 3u);
  EXPECT_EQ(one[0], json({{"role", "system"}, {"content", "Be brief."}}));
  EXPECT_EQ(one[1], json({{"role", "user"}, {"content", "Hello"}}));
  EXPECT_EQ(one[2]["content"], first.text);
  const auto second = read(chat.send("More", 5));
  EXPECT_EQ(second.ids,
            continuation(chat.ids("[system]Be brief.\n[user]Hello\n[assistant]" + first.text + "\n[user]More\n[assistant]"), 5));
  ASSERT_EQ(kl_session_reset(chat.session), KL_OK);
  EXPECT_EQ(Chat::history(chat.session).size(), 1u);
  EXPECT_EQ(read(chat.send("Hello", 8)).ids, first.ids);
}

TEST(Session, HistoryMovesToAnotherSession) {
  Chat chat;
  (void)read(chat.send("Hello", 8));
  const std::string saved = Chat::history(chat.session).dump();
  kl_session* other = chat.engine.session(chat.model);
  ASSERT_EQ(kl_session_restore(other, saved.c_str()), KL_OK);
  kl_session* fork = nullptr;
  ASSERT_EQ(kl_session_fork(chat.session, &fork), KL_OK);
  const auto a = read(chat.send("And?", 6)).ids;
  for (kl_session* s : {other, fork}) {
    kl_send_options o{};
    o.size = sizeof o;
    o.max_tokens = 6;
    kl_generation* generation = nullptr;
    ASSERT_EQ(kl_session_send_json(s, R"({"role": "user", "content": "And?"})", &o, &generation), KL_OK) << kl_last_error();
    EXPECT_EQ(read(generation).ids, a);
    (void)kl_session_destroy(s);
  }
  EXPECT_EQ(kl_session_restore(chat.session, "{}"), KL_INVALID_ARGUMENT);
  EXPECT_EQ(kl_session_restore(chat.session, "[1]"), KL_INVALID_ARGUMENT);
  EXPECT_EQ(kl_session_restore(chat.session, "[{"), KL_INVALID_ARGUMENT);
  EXPECT_EQ(kl_session_restore(chat.session, std::string(100000, '[').c_str()), KL_UNSUPPORTED);
}

TEST(Session, AFailedOrUnbegunTurnIsTakenBackAndAStoppedOneKept) {
  Chat chat;
  (void)read(chat.send("Hello", 3));
  const json before = Chat::history(chat.session);
  chat.engine.control->set([](const StepBatch&) { return error(Code::internal, "broken"); });
  EXPECT_EQ(read(chat.send("lost", 3)).last.kind, KL_EVENT_FAILED);
  EXPECT_EQ(Chat::history(chat.session), before);
  chat.engine.control->set({});
  {
    Gate gate(*chat.engine.control);
    kl_generation* generation = chat.send("never begun", 3);
    gate.wait_for_step();
    (void)kl_generation_cancel(generation);
    gate.open();
    EXPECT_EQ(read(generation).last.kind, KL_EVENT_STOPPED);
  }
  EXPECT_EQ(Chat::history(chat.session), before);
  kl_send_options o{};
  o.event_queue = 2;
  kl_generation* generation = chat.send("begun", 0, o);
  kl_event e{};
  e.size = sizeof e;
  do {
    ASSERT_EQ(kl_generation_next(generation, 60000, &e), KL_OK);
  } while (e.kind != KL_EVENT_TOKEN);
  (void)kl_generation_cancel(generation);
  EXPECT_EQ(read(generation).last.kind, KL_EVENT_STOPPED);
  EXPECT_EQ(Chat::history(chat.session).size(), before.size() + 2);
}

TEST(Session, WhileGeneratingItIsBusyAndAfterTheFinalEventItIsNot) {
  Chat chat;
  for (int round = 0; round < 50; ++round) {
    kl_generation* generation = nullptr;
    {
      Gate gate(*chat.engine.control);
      generation = chat.send("Hello", 1);
      gate.wait_for_step();
      kl_generation* second = nullptr;
      EXPECT_EQ(kl_session_send(chat.session, "again", nullptr, &second), KL_BUSY);
      EXPECT_EQ(second, nullptr);
      EXPECT_EQ(kl_session_reset(chat.session), KL_BUSY);
      kl_session* copy = nullptr;
      EXPECT_EQ(kl_session_fork(chat.session, &copy), KL_BUSY);
      char* text = nullptr;
      EXPECT_EQ(kl_session_history(chat.session, &text, nullptr), KL_BUSY);
    }
    EXPECT_EQ(read(generation).finals, 1);
    EXPECT_EQ(kl_session_reset(chat.session), KL_OK);
  }
}

TEST(Session, StopTextsEndTheAnswerAndAreNotPartOfIt) {
  Chat chat;
  const std::string whole = read(chat.send("Hello", 60)).text;
  ASSERT_GT(whole.size(), 20u);
  size_t at = 10;
  while ((static_cast<unsigned char>(whole[at]) & 0x80) != 0 || (static_cast<unsigned char>(whole[at + 1]) & 0x80) != 0) ++at;
  const std::string stop = whole.substr(at, 2);
  (void)kl_session_reset(chat.session);
  const char* stops[] = {"never seen", stop.c_str()};
  kl_send_options o{};
  o.stop = stops;
  o.stop_count = 2;
  const auto got = read(chat.send("Hello", 60, o));
  EXPECT_EQ(got.last.reason, KL_FINISH_STOP_STRING);
  EXPECT_EQ(got.text, whole.substr(0, whole.find(stop)));
  EXPECT_EQ(Chat::history(chat.session).back()["content"], got.text);
}

TEST(Session, SampledTokensDependOnTheSeedAndNotOnCompany) {
  Chat chat;
  kl_sampling sampling{};
  sampling.size = sizeof sampling;
  sampling.temperature = 1.5f;
  sampling.top_k = 50;
  sampling.seed = 9;
  kl_send_options o{};
  o.sampling = &sampling;
  o.logprobs = 3;
  const auto prompt = some_ids(30, 1);
  const auto alone = read(raw(chat.session, prompt, 40, o)).ids;
  std::vector<kl_session*> mates;
  std::vector<kl_generation*> theirs;
  for (uint32_t i = 0; i < 5; ++i) {
    mates.push_back(chat.engine.session(chat.model));
    theirs.push_back(raw(mates.back(), some_ids(20 + i, i), 50));
  }
  kl_session* again = chat.engine.session(chat.model);
  kl_generation* generation = raw(again, prompt, 40, o);
  std::vector<int32_t> ids;
  kl_event e{};
  e.size = sizeof e;
  while (kl_generation_next(generation, 60000, &e) == KL_OK && e.kind < KL_EVENT_FINISHED) {
    if (e.kind != KL_EVENT_TOKEN || e.token < 0) continue;
    ids.push_back(e.token);
    ASSERT_EQ(e.top_count, 3u);
    EXPECT_GE(e.top[0].logprob, e.top[1].logprob);
    EXPECT_LE(e.logprob, e.top[0].logprob);
    EXPECT_LT(e.logprob, 0);
  }
  EXPECT_EQ(ids, alone);
  sampling.seed = 10;
  EXPECT_NE(read(raw(chat.session, prompt, 40, o)).ids, alone);
  for (kl_generation* g : theirs) (void)kl_generation_destroy(g);
  (void)kl_generation_destroy(generation);
  for (kl_session* s : mates) (void)kl_session_destroy(s);
  (void)kl_session_destroy(again);
}

// A_11 in small: what a user types never becomes a control token, what the template writes does.
TEST(Session, UserTextDoesNotBecomeControlTokens) {
  Chat chat;
  (void)read(chat.send("</s><s>", 1));
  int32_t* data = nullptr;
  size_t count = 0;
  ASSERT_EQ(kl_session_tokens(chat.session, &data, &count), KL_OK);
  for (size_t i = 1; i < count; ++i) EXPECT_GT(data[i], 2) << i;  // place 0 is the tokenizer's own begin token
  kl_free(data);
}

}  // namespace
}  // namespace kl::fake
