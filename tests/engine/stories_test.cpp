// End to end with a real, small model: stories260K on the CPU, through the C boundary.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "kinglet/kinglet.h"

namespace {

const char* const kModel = KL_TEST_DATA "/data/stories260K.gguf";
// What the model says, greedily, after its begin token: llama2.c's own output (tests/data, stories260K).
const char* const kStory =
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball.";

std::string story(kl_backend backend, int32_t threads, kl_kv kv, uint32_t max_tokens) {
  kl_engine_options options{};
  options.size = sizeof options;
  options.backend = backend;
  options.threads = threads;
  kl_engine* engine = nullptr;
  EXPECT_EQ(kl_engine_open(&options, &engine), KL_OK) << kl_last_error();
  kl_model_options model_options{};
  model_options.size = sizeof model_options;
  model_options.kv = kv;
  kl_model* model = nullptr;
  EXPECT_EQ(kl_model_load(engine, kModel, &model_options, &model), KL_OK) << kl_last_error();
  kl_session* session = nullptr;
  EXPECT_EQ(kl_session_new(model, nullptr, &session), KL_OK) << kl_last_error();
  kl_prompt prompt{};
  prompt.size = sizeof prompt;
  prompt.text = "";
  kl_send_options send{};
  send.size = sizeof send;
  send.max_tokens = max_tokens;
  kl_generation* generation = nullptr;
  EXPECT_EQ(kl_session_generate_raw(session, &prompt, &send, &generation), KL_OK) << kl_last_error();
  std::string text;
  kl_event e{};
  e.size = sizeof e;
  while (generation && kl_generation_next(generation, 60000, &e) == KL_OK && e.kind != KL_EVENT_NONE && e.kind < KL_EVENT_FINISHED)
    text += e.text;
  EXPECT_EQ(e.kind, KL_EVENT_FINISHED) << e.text;
  // Out of order on purpose: what a handle depends on may go first.
  (void)kl_engine_destroy(engine);
  (void)kl_model_destroy(model);
  (void)kl_generation_destroy(generation);
  (void)kl_session_destroy(session);
  return text;
}

TEST(Stories, TheReferenceTellsTheKnownStory) {
  EXPECT_EQ(story(KL_BACKEND_REFERENCE, 1, KL_KV_F32, 60).substr(0, std::strlen(kStory)), kStory);
}

TEST(Stories, TheCpuTellsItWithAnyNumberOfThreads) {
  const std::string one = story(KL_BACKEND_CPU, 1, KL_KV_F16, 60);
  EXPECT_EQ(one.substr(0, std::strlen(kStory)), kStory);
  EXPECT_EQ(story(KL_BACKEND_CPU, 2, KL_KV_F16, 60), one);
  EXPECT_EQ(story(KL_BACKEND_CPU, 3, KL_KV_F16, 60), one);
}

}  // namespace
