// B1: every allocation may fail. Open, load, converse, evaluate, destroy, with the n-th allocation of the library failing, once or with all later ones.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "fake_images.h"

namespace {

constinit std::atomic<bool> g_armed = false;
constinit std::atomic<int64_t> g_left = 0;  // allocations that still succeed
constinit std::atomic<bool> g_all_later = false;
constinit std::atomic<int64_t> g_failed = 0;

bool fails() {
  if (!g_armed.load(std::memory_order_relaxed)) return false;
  const int64_t left = g_left.fetch_sub(1);
  if (left > 0 || (left < 0 && !g_all_later.load())) return false;
  ++g_failed;
  return true;
}

void* try_allocate(size_t size, size_t alignment) {
  if (fails()) return nullptr;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(size == 0 ? 1 : size);
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}
void* allocate(size_t size, size_t alignment) {
  void* const memory = try_allocate(size, alignment);
  if (!memory) throw std::bad_alloc();
  return memory;
}

}  // namespace

// Not inlined: the compiler would see free() of what it knows came from operator new, and warn (g++ 12 at -O1).
#define KL_APART [[gnu::noinline]]
KL_APART void* operator new(size_t size) { return allocate(size, 0); }
KL_APART void* operator new[](size_t size) { return allocate(size, 0); }
KL_APART void* operator new(size_t size, std::align_val_t a) { return allocate(size, static_cast<size_t>(a)); }
KL_APART void* operator new[](size_t size, std::align_val_t a) { return allocate(size, static_cast<size_t>(a)); }
KL_APART void* operator new(size_t size, const std::nothrow_t&) noexcept { return try_allocate(size, 0); }
KL_APART void* operator new[](size_t size, const std::nothrow_t&) noexcept { return try_allocate(size, 0); }
KL_APART void* operator new(size_t size, std::align_val_t a, const std::nothrow_t&) noexcept {
  return try_allocate(size, static_cast<size_t>(a));
}
KL_APART void* operator new[](size_t size, std::align_val_t a, const std::nothrow_t&) noexcept {
  return try_allocate(size, static_cast<size_t>(a));
}
KL_APART void operator delete(void* p) noexcept { std::free(p); }
KL_APART void operator delete[](void* p) noexcept { std::free(p); }
KL_APART void operator delete(void* p, size_t) noexcept { std::free(p); }
KL_APART void operator delete[](void* p, size_t) noexcept { std::free(p); }
KL_APART void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
KL_APART void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
KL_APART void operator delete(void* p, size_t, std::align_val_t) noexcept { std::free(p); }
KL_APART void operator delete[](void* p, size_t, std::align_val_t) noexcept { std::free(p); }
KL_APART void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
KL_APART void operator delete[](void* p, const std::nothrow_t&) noexcept { std::free(p); }
KL_APART void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { std::free(p); }
KL_APART void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept { std::free(p); }

namespace kl::fake {
namespace {

struct Run {
  kl_status worst = KL_OK;
  int32_t ids[64] = {};
  size_t count = 0;
};

// A life of a model on an engine that is there, without an allocation of its own. Stops at the first error, and destroys what there is.
Run live(kl_engine* engine) {
  Run run;
  kl_model* model = nullptr;
  kl_session* session = nullptr;
  kl_session* fork = nullptr;
  kl_generation* generation = nullptr;
  kl_sequence* sequence = nullptr;
  char* history = nullptr;
  kl_model_options model_options{};
  model_options.size = sizeof model_options;
  model_options.max_rows = 16;
  kl_session_options session_options{};
  session_options.size = sizeof session_options;
  session_options.system = "Be brief.";
  session_options.template_text = chat_template();
  kl_sampling sampling{};
  sampling.size = sizeof sampling;
  sampling.temperature = 1;
  sampling.repeat_penalty = 1.1f;
  kl_send_options send{};
  send.size = sizeof send;
  send.max_tokens = 16;
  send.sampling = &sampling;
  send.logprobs = 2;
  static float logits[2 * kVocabulary];
  static const int32_t some[40] = {5, 6, 7, 8, 9};
  const auto ok = [&](kl_status status) {
    if (status != KL_OK) run.worst = status;
    return status == KL_OK;
  };
  const auto answer = [&] {
    kl_event e{};
    e.size = sizeof e;
    int failures = 0;
    while (e.kind < KL_EVENT_FINISHED && failures < 3) {
      const kl_status status = kl_generation_next(generation, 60000, &e);
      failures += status == KL_OK ? 0 : 1;  // the event was not taken: asking again gives it
      if (status == KL_OK && e.kind == KL_EVENT_TOKEN && e.token >= 0 && run.count < 64) run.ids[run.count++] = e.token;
    }
    (void)kl_generation_destroy(generation);
    generation = nullptr;
    return ok(e.kind == KL_EVENT_FAILED ? e.status : e.kind == KL_EVENT_FINISHED ? KL_OK : KL_OUT_OF_MEMORY);
  };
  static const Picture pixels[2] = {picture(1), picture(2)};
  kl_image* image = nullptr;
  kl_image* twin = nullptr;
  kl_image* reduced = nullptr;
  kl_image_options fewer{};
  fewer.size = sizeof fewer;
  fewer.max_rows = 4;
  kl_send_options with_images = send;
  kl_image* images[2] = {};
  with_images.images = images;
  with_images.image_count = 2;
  model_options.projector = model_path();
  const kl_image_source sources[2] = {source_of(pixels[0]), source_of(pixels[1])};
  const auto open_images = [&] {
    const bool all = ok(kl_image_open(model, &sources[0], nullptr, &image)) && ok(kl_image_open(model, &sources[0], nullptr, &twin)) &&
                     ok(kl_image_open(model, &sources[1], &fewer, &reduced));
    images[0] = image;
    images[1] = reduced;
    return all;
  };
  const auto image_done = [&](kl_image* of) {
    kl_image_info info{};
    info.size = sizeof info;
    kl_status status = KL_OUT_OF_MEMORY;
    for (int i = 0; i < 3 && status != KL_OK; ++i) status = kl_image_wait(of, 60000, &info);
    return ok(status) && ok(info.state == KL_IMAGE_READY ? KL_OK : info.status);
  };
  (void)(ok(kl_model_load(engine, model_path(), &model_options, &model)) && open_images() &&
         ok(kl_session_new(model, &session_options, &session)) && ok(kl_session_send(session, "Look", &with_images, &generation)) &&
         answer() && image_done(twin) && image_done(reduced) && ok(kl_engine_clear_feature_cache(engine)) &&
         ok(kl_session_send(session, "Hello", &send, &generation)) && answer() && ok(kl_session_fork(session, &fork)) &&
         ok(kl_session_send(fork, "More", &send, &generation)) && answer() && ok(kl_session_history(session, &history, nullptr)) &&
         ok(kl_session_restore(session, history)) && ok(kl_sequence_new(model, &sequence)) && [&] {
           kl_evaluation e{sizeof(kl_evaluation), sequence, some, 40, logits, 2, nullptr, 0, 0};
           return ok(kl_evaluate(model, &e, 1, nullptr));
         }());
  kl_free(history);
  EXPECT_EQ(kl_image_destroy(image), KL_OK);
  EXPECT_EQ(kl_image_destroy(twin), KL_OK);
  EXPECT_EQ(kl_image_destroy(reduced), KL_OK);
  EXPECT_EQ(kl_sequence_destroy(sequence), KL_OK);
  EXPECT_EQ(kl_session_destroy(fork), KL_OK);
  EXPECT_EQ(kl_session_destroy(session), KL_OK);
  EXPECT_EQ(kl_model_destroy(model), KL_OK);
  return run;
}

void fail_each(bool all_later) {
  FakeEngine engine;
  const Run good = live(engine.handle);
  ASSERT_EQ(good.worst, KL_OK) << kl_last_error();
  const size_t handles_before = handles().size();
  int64_t n = 0;
  for (;; ++n) {
    g_failed = 0;
    g_left = n;
    g_all_later = all_later;
    g_armed = true;
    const Run run = live(engine.handle);
    // What the scheduler frees in its own time belongs to the trial: a call comes back after that.
    (void)kl_engine_resume(engine.handle);
    g_armed = false;
    const bool failed = g_failed.load() > 0;
    if (run.worst != KL_OK) {
      EXPECT_EQ(run.worst, KL_OUT_OF_MEMORY) << "allocation " << n << ": " << kl_last_error();
    } else {  // not noticed, then not changed
      EXPECT_EQ(run.count, good.count) << n;
      EXPECT_EQ(std::memcmp(run.ids, good.ids, sizeof run.ids), 0) << n;
    }
    EXPECT_EQ(handles().size(), handles_before) << n;
    if (!failed) break;
    if (n % 50 == 0) {
      const Run again = live(engine.handle);
      EXPECT_EQ(again.worst, KL_OK) << "after allocation " << n << ": " << kl_last_error();
      EXPECT_EQ(std::memcmp(again.ids, good.ids, sizeof again.ids), 0) << n;
    }
    if (testing::Test::HasFailure()) break;
  }
  EXPECT_GT(n, 500);
  testing::Test::RecordProperty("allocations", std::to_string(n));
}

TEST(Allocation, AnyOneMayFail) { fail_each(false); }
TEST(Allocation, AllAfterAnyMayFail) { fail_each(true); }

// Calls come back while there is no memory at all, also those behind images that arrive just then.
TEST(Allocation, CallsComeBackWhileImagesArriveAndNothingCanBeAllocated) {
  constexpr uint32_t kImages = 70;  // more than a queue's next chunk holds
  FakeEngine engine;
  kl_model* const model = engine.load_seeing();
  std::vector<Picture> pictures;
  std::vector<kl_image*> images;
  for (uint32_t i = 0; i < kImages; ++i) pictures.push_back(picture(i));
  EncodeGate gate(*engine.control);
  for (uint32_t i = 0; i < kImages; ++i) {
    images.push_back(open_image(model, pictures[i]));
    if (i == 0) gate.wait_for_segment();
  }
  for (uint32_t i = 1; i < kImages; ++i) EXPECT_TRUE(reaches(images[i], KL_IMAGE_WAITING)) << i;
  g_failed = 0;
  g_left = 0;
  g_all_later = true;
  std::atomic<bool> back = false;
  std::thread caller([&] {
    const kl_status status = kl_engine_resume(engine.handle);
    EXPECT_TRUE(status == KL_OK || status == KL_OUT_OF_MEMORY) << status;
    back = true;
  });
  std::this_thread::sleep_for(
      std::chrono::milliseconds(200));  // until the call is in the queue, which takes memory: one that is late is refused
  g_armed = true;
  gate.open();
  int waited = 0;
  for (; waited < 20000 && !back; ++waited) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  g_armed = false;  // what is stuck, goes on now
  EXPECT_LT(waited, 20000) << "milliseconds until a call came back";
  caller.join();
  for (kl_image* image : images) {
    const kl_image_info info = wait_for(image);
    EXPECT_TRUE(info.state == KL_IMAGE_READY || (info.state == KL_IMAGE_FAILED && info.status == KL_OUT_OF_MEMORY)) << info.state;
    EXPECT_EQ(kl_image_destroy(image), KL_OK);
  }
  EXPECT_EQ(kl_model_destroy(model), KL_OK);
}

}  // namespace
}  // namespace kl::fake
