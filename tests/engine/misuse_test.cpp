// B9: every function of the boundary with null, destroyed and foreign handles, null pointers, wrong sizes and numbers out of range gives its error code.
#include <gtest/gtest.h>

#include <cstddef>

#include <cmath>
#include <limits>

#include "fake_images.h"

namespace kl::fake {
namespace {

// All live at once, and dead ones of each kind.
struct World {
  World() {
    model = engine.load();
    session = engine.session(model);
    generation = raw(session, some_ids(3, 1), 2);
    (void)kl_sequence_new(model, &sequence);
    seeing = engine.load_seeing();
    image = open_image(seeing, pixels);
    FakeEngine gone;
    dead_engine = gone.handle;
    dead_model = gone.load();
    dead_session = gone.session(dead_model);
    dead_generation = raw(dead_session, some_ids(3, 1), 1);
    (void)kl_sequence_new(dead_model, &dead_sequence);
    kl_model* dead_seeing = gone.load_seeing();
    dead_image = open_image(dead_seeing, pixels);
    (void)kl_image_destroy(dead_image);
    (void)kl_model_destroy(dead_seeing);
    (void)kl_generation_destroy(dead_generation);
    (void)kl_sequence_destroy(dead_sequence);
    (void)kl_session_destroy(dead_session);
    (void)kl_model_destroy(dead_model);
  }
  ~World() {
    (void)kl_image_destroy(image);
    (void)kl_model_destroy(seeing);
    (void)kl_generation_destroy(generation);
    (void)kl_sequence_destroy(sequence);
    (void)kl_session_destroy(session);
    (void)kl_model_destroy(model);
  }
  const Picture pixels = picture(1);
  FakeEngine engine;
  kl_model* model = nullptr;
  kl_session* session = nullptr;
  kl_generation* generation = nullptr;
  kl_sequence* sequence = nullptr;
  kl_engine* dead_engine = nullptr;
  kl_model* dead_model = nullptr;
  kl_session* dead_session = nullptr;
  kl_generation* dead_generation = nullptr;
  kl_sequence* dead_sequence = nullptr;
  kl_model* seeing = nullptr;
  kl_image* image = nullptr;
  kl_image* dead_image = nullptr;
};

template <class T>
T sized() {
  T t{};
  t.size = sizeof t;
  return t;
}

int cases = 0;
void expect_invalid(kl_status status, const char* what) {
  ++cases;
  EXPECT_EQ(status, KL_INVALID_ARGUMENT) << what;
  EXPECT_STRNE(kl_last_error(), "") << what;
}

// Every function that takes this kind of handle as its first argument.
template <class H, class Functions>
void try_handles(H* live, H* dead, std::initializer_list<void*> foreign, const Functions& functions) {
  int on_stack = 0;
  std::vector<void*> wrong(foreign);
  wrong.insert(wrong.end(), {nullptr, dead, &on_stack, reinterpret_cast<char*>(live) + 1, reinterpret_cast<void*>(~uintptr_t{0})});
  for (void* handle : wrong) {
    for (const auto& [name, call] : functions) expect_invalid(call(static_cast<H*>(handle)), name);
  }
}

template <class H>
using Calls = std::vector<std::pair<const char*, std::function<kl_status(H*)>>>;

TEST(Misuse, NoFunctionAcceptsAHandleThatIsNotItsOwn) {
  World w;
  char* text = nullptr;
  int32_t* ids = nullptr;
  size_t count = 0;
  uint32_t length = 0;
  auto device = sized<kl_device_info>();
  auto roof = sized<kl_roofline>();
  auto engine_stats = sized<kl_engine_stats>();
  auto source = sized<kl_source>();
  source.path = model_path();
  auto estimate = sized<kl_memory_estimate>();
  auto info = sized<kl_model_info>();
  auto tensor = sized<kl_tensor_info>();
  auto render = sized<kl_render_options>();
  render.context_json = "{}";
  auto prompt = sized<kl_prompt>();
  prompt.text = "";
  auto event = sized<kl_event>();
  auto listener = sized<kl_listener>();
  listener.on_event = [](void*, kl_generation*, const kl_event*) {};
  auto generation_stats = sized<kl_generation_stats>();
  kl_model* model = nullptr;
  kl_session* session = nullptr;
  kl_generation* generation = nullptr;
  kl_sequence* sequence = nullptr;
  kl_image* image = nullptr;
  const kl_image_source image_source = source_of(w.pixels);
  auto image_info = sized<kl_image_info>();
  auto cache_stats = sized<kl_feature_cache_stats>();
  float row = 0;
  const int32_t id = 5;

  try_handles<kl_image>(w.image, w.dead_image, {w.engine.handle, w.model, w.session, w.generation, w.sequence},
                        Calls<kl_image>{{"info", [&](kl_image* h) { return kl_image_get_info(h, &image_info); }},
                                        {"wait", [&](kl_image* h) { return kl_image_wait(h, 0, &image_info); }},
                                        {"rows", [&](kl_image* h) { return kl_image_rows(h, &row, 1); }},
                                        {"cancel", [](kl_image* h) { return kl_image_cancel(h); }},
                                        {"send", [&](kl_image* h) {
                                           auto o = sized<kl_send_options>();
                                           o.images = &h;
                                           o.image_count = 1;
                                           return kl_session_send(w.session, "a", &o, &generation);
                                         }}});
  try_handles<kl_engine>(
      w.engine.handle, w.dead_engine, {w.model, w.session, w.generation, w.sequence},
      Calls<kl_engine>{{"suspend", [](kl_engine* h) { return kl_engine_suspend(h); }},
                       {"resume", [](kl_engine* h) { return kl_engine_resume(h); }},
                       {"device", [&](kl_engine* h) { return kl_engine_device(h, &device); }},
                       {"measure", [&](kl_engine* h) { return kl_engine_measure(h, 0, &roof); }},
                       {"get_stats", [&](kl_engine* h) { return kl_engine_get_stats(h, &engine_stats); }},
                       {"feature_cache_stats", [&](kl_engine* h) { return kl_engine_get_feature_cache_stats(h, &cache_stats); }},
                       {"clear_feature_cache", [](kl_engine* h) { return kl_engine_clear_feature_cache(h); }},
                       {"trace", [&](kl_engine* h) { return kl_engine_trace(h, &text, nullptr); }},
                       {"estimate", [&](kl_engine* h) { return kl_model_estimate(h, &source, nullptr, &estimate); }},
                       {"load", [&](kl_engine* h) { return kl_model_load(h, model_path(), nullptr, &model); }},
                       {"load_source", [&](kl_engine* h) { return kl_model_load_source(h, &source, nullptr, &model); }}});
  try_handles<kl_model>(w.model, w.dead_model, {w.engine.handle, w.session, w.generation, w.sequence},
                        Calls<kl_model>{{"info", [&](kl_model* h) { return kl_model_get_info(h, &info); }},
                                        {"metadata", [&](kl_model* h) { return kl_model_metadata(h, 0, &text, nullptr); }},
                                        {"tensor", [&](kl_model* h) { return kl_model_tensor(h, 0, &tensor); }},
                                        {"text", [&](kl_model* h) { return kl_model_text(h, KL_TEXT_PROGRAM, 1, &text, nullptr); }},
                                        {"cost", [&](kl_model* h) { return kl_model_cost(h, 1, 1, 0, nullptr, nullptr); }},
                                        {"tokenize", [&](kl_model* h) { return kl_tokenize(h, "a", 1, nullptr, &ids, &count); }},
                                        {"detokenize", [&](kl_model* h) { return kl_detokenize(h, &id, 1, &text, nullptr); }},
                                        {"render", [&](kl_model* h) { return kl_render(h, &render, &text, nullptr); }},
                                        {"session_new", [&](kl_model* h) { return kl_session_new(h, nullptr, &session); }},
                                        {"image_open", [&](kl_model* h) { return kl_image_open(h, &image_source, nullptr, &image); }},
                                        {"sequence_new", [&](kl_model* h) { return kl_sequence_new(h, &sequence); }},
                                        {"evaluate", [&](kl_model* h) {
                                           kl_evaluation e{sizeof(kl_evaluation), w.sequence, &id, 1, nullptr, 0, nullptr, 0, 0};
                                           return kl_evaluate(h, &e, 1, nullptr);
                                         }}});
  try_handles<kl_session>(
      w.session, w.dead_session, {w.engine.handle, w.model, w.generation, w.sequence},
      Calls<kl_session>{{"reset", [](kl_session* h) { return kl_session_reset(h); }},
                        {"fork", [&](kl_session* h) { return kl_session_fork(h, &session); }},
                        {"history", [&](kl_session* h) { return kl_session_history(h, &text, nullptr); }},
                        {"restore", [](kl_session* h) { return kl_session_restore(h, "[]"); }},
                        {"tokens", [&](kl_session* h) { return kl_session_tokens(h, &ids, &count); }},
                        {"send", [&](kl_session* h) { return kl_session_send(h, "a", nullptr, &generation); }},
                        {"send_json", [&](kl_session* h) { return kl_session_send_json(h, "[]", nullptr, &generation); }},
                        {"raw", [&](kl_session* h) { return kl_session_generate_raw(h, &prompt, nullptr, &generation); }}});
  try_handles<kl_generation>(
      w.generation, w.dead_generation, {w.engine.handle, w.model, w.session, w.sequence},
      Calls<kl_generation>{{"next", [&](kl_generation* h) { return kl_generation_next(h, 0, &event); }},
                           {"listen", [&](kl_generation* h) { return kl_generation_listen(h, &listener); }},
                           {"cancel", [](kl_generation* h) { return kl_generation_cancel(h); }},
                           {"stats", [&](kl_generation* h) { return kl_generation_get_stats(h, &generation_stats); }}});
  try_handles<kl_sequence>(w.sequence, w.dead_sequence, {w.engine.handle, w.model, w.session, w.generation},
                           Calls<kl_sequence>{{"fork", [&](kl_sequence* h) { return kl_sequence_fork(h, &sequence); }},
                                              {"length", [&](kl_sequence* h) { return kl_sequence_length(h, &length); }},
                                              {"truncate", [](kl_sequence* h) { return kl_sequence_truncate(h, 0); }},
                                              {"evaluate", [&](kl_sequence* h) {
                                                 kl_evaluation e{sizeof(kl_evaluation), h, &id, 1, nullptr, 0, nullptr, 0, 0};
                                                 return kl_evaluate(w.model, &e, 1, nullptr);
                                               }}});
  // Destroying: null is allowed, dead and foreign handles are not.
  EXPECT_EQ(kl_engine_destroy(nullptr), KL_OK);
  EXPECT_EQ(kl_model_destroy(nullptr), KL_OK);
  EXPECT_EQ(kl_session_destroy(nullptr), KL_OK);
  EXPECT_EQ(kl_generation_destroy(nullptr), KL_OK);
  EXPECT_EQ(kl_sequence_destroy(nullptr), KL_OK);
  EXPECT_EQ(kl_image_destroy(nullptr), KL_OK);
  expect_invalid(kl_image_destroy(w.dead_image), "image_destroy");
  expect_invalid(kl_image_destroy(reinterpret_cast<kl_image*>(w.model)), "image_destroy");
  for (void* handle : std::initializer_list<void*>{w.dead_engine, w.model, reinterpret_cast<void*>(16)}) {
    expect_invalid(kl_engine_destroy(static_cast<kl_engine*>(handle)), "engine_destroy");
    expect_invalid(kl_session_destroy(static_cast<kl_session*>(handle)), "session_destroy");
    expect_invalid(kl_generation_destroy(static_cast<kl_generation*>(handle)), "generation_destroy");
    expect_invalid(kl_sequence_destroy(static_cast<kl_sequence*>(handle)), "sequence_destroy");
  }
  expect_invalid(kl_model_destroy(w.dead_model), "model_destroy");
  EXPECT_EQ(read(std::exchange(w.generation, nullptr)).finals, 1);  // and nothing of it disturbed the live ones
  EXPECT_GE(cases, 300);
}

TEST(Misuse, NullPointersAndWrongSizesAreErrors) {
  World w;
  (void)read(std::exchange(w.generation, nullptr));
  kl_engine* engine = nullptr;
  kl_model* model = nullptr;
  kl_generation* generation = nullptr;
  char* text = nullptr;
  int32_t* ids = nullptr;
  size_t count = 0;
  const int32_t id = 5;
  expect_invalid(kl_engine_open(nullptr, nullptr), "open");
  expect_invalid(kl_device_count(nullptr), "count");
  expect_invalid(kl_device_get(0, nullptr), "device");
  expect_invalid(kl_engine_device(w.engine.handle, nullptr), "device");
  expect_invalid(kl_engine_measure(w.engine.handle, 0, nullptr), "measure");
  expect_invalid(kl_engine_get_stats(w.engine.handle, nullptr), "stats");
  expect_invalid(kl_engine_trace(w.engine.handle, nullptr, nullptr), "trace");
  expect_invalid(kl_model_load(w.engine.handle, nullptr, nullptr, &model), "load");
  expect_invalid(kl_model_load(w.engine.handle, "x", nullptr, nullptr), "load");
  expect_invalid(kl_model_load_source(w.engine.handle, nullptr, nullptr, &model), "load");
  expect_invalid(kl_model_get_info(w.model, nullptr), "info");
  expect_invalid(kl_model_metadata(w.model, 0, nullptr, nullptr), "metadata");
  expect_invalid(kl_model_tensor(w.model, 0, nullptr), "tensor");
  expect_invalid(kl_model_text(w.model, KL_TEXT_PROGRAM, 1, nullptr, nullptr), "text");
  expect_invalid(kl_model_text(w.model, 0, 1, &text, nullptr), "text");
  expect_invalid(kl_model_text(w.model, 99, 1, &text, nullptr), "text");
  expect_invalid(kl_model_text(w.model, KL_TEXT_PLAN, 0, &text, nullptr), "text");
  expect_invalid(kl_model_text(w.model, KL_TEXT_PLAN, 1u << 31, &text, nullptr), "text");
  expect_invalid(kl_model_cost(w.model, 0, 0, 0, nullptr, nullptr), "cost");
  expect_invalid(kl_model_cost(w.model, 4, 5, 0, nullptr, nullptr), "cost");
  expect_invalid(kl_tokenize(w.model, nullptr, 5, nullptr, &ids, &count), "tokenize");
  expect_invalid(kl_tokenize(w.model, "a", 1, nullptr, nullptr, &count), "tokenize");
  expect_invalid(kl_tokenize(w.model, "a", 1, nullptr, &ids, nullptr), "tokenize");
  expect_invalid(kl_detokenize(w.model, nullptr, 5, &text, nullptr), "detokenize");
  expect_invalid(kl_detokenize(w.model, &id, 1, nullptr, nullptr), "detokenize");
  const int32_t outside[] = {-1, 512, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min()};
  for (const int32_t bad : outside) {
    expect_invalid(kl_detokenize(w.model, &bad, 1, &text, nullptr), "detokenize");
    kl_evaluation e{sizeof(kl_evaluation), w.sequence, &bad, 1, nullptr, 0, nullptr, 0, 0};
    expect_invalid(kl_evaluate(w.model, &e, 1, nullptr), "evaluate");
    auto p = sized<kl_prompt>();
    p.ids = &bad;
    p.id_count = 1;
    expect_invalid(kl_session_generate_raw(w.session, &p, nullptr, &generation), "raw");
  }
  expect_invalid(kl_render(w.model, nullptr, &text, nullptr), "render");
  expect_invalid(kl_session_new(w.model, nullptr, nullptr), "session");
  expect_invalid(kl_session_fork(w.session, nullptr), "fork");
  expect_invalid(kl_session_history(w.session, nullptr, nullptr), "history");
  expect_invalid(kl_session_restore(w.session, nullptr), "restore");
  expect_invalid(kl_session_tokens(w.session, nullptr, &count), "tokens");
  expect_invalid(kl_session_send(w.session, nullptr, nullptr, &generation), "send");
  expect_invalid(kl_session_send(w.session, "a", nullptr, nullptr), "send");
  expect_invalid(kl_session_send(w.session, "\xff", nullptr, &generation), "send");
  for (const char* bad : {"", "nonsense", "3", "[]", "[3]", "{}", R"({"role": 3})", "\xff"})
    expect_invalid(kl_session_send_json(w.session, bad, nullptr, &generation), bad);
  expect_invalid(kl_session_send_json(w.session, nullptr, nullptr, &generation), "send_json");
  expect_invalid(kl_session_generate_raw(w.session, nullptr, nullptr, &generation), "raw");
  auto empty = sized<kl_prompt>();
  expect_invalid(kl_session_generate_raw(w.session, &empty, nullptr, &generation), "raw");
  empty.ids = &id;
  expect_invalid(kl_session_generate_raw(w.session, &empty, nullptr, &generation), "raw");
  expect_invalid(kl_sequence_new(w.model, nullptr), "sequence");
  expect_invalid(kl_sequence_length(w.sequence, nullptr), "length");
  expect_invalid(kl_evaluate(w.model, nullptr, 1, nullptr), "evaluate");
  kl_evaluation two[2] = {{sizeof(kl_evaluation), w.sequence, &id, 1, nullptr, 0, nullptr, 0, 0},
                          {sizeof(kl_evaluation), w.sequence, &id, 1, nullptr, 0, nullptr, 0, 0}};
  expect_invalid(kl_evaluate(w.model, two, 0, nullptr), "evaluate");
  expect_invalid(kl_evaluate(w.model, two, 2, nullptr), "evaluate");
  expect_invalid(kl_evaluate(w.model, two, std::numeric_limits<size_t>::max(), nullptr), "evaluate");
  two[0].logit_rows = 1;
  expect_invalid(kl_evaluate(w.model, two, 1, nullptr), "evaluate");
  two[0].logit_rows = 2;
  expect_invalid(kl_evaluate(w.model, two, 1, nullptr), "evaluate");
  two[0] = {sizeof(kl_evaluation), w.sequence, &id, 0, nullptr, 0, nullptr, 0, 0};
  expect_invalid(kl_evaluate(w.model, two, 1, nullptr), "evaluate");
  two[0].size = 0;
  expect_invalid(kl_evaluate(w.model, two, 1, nullptr), "evaluate");
  kl_engine_options open{};
  for (const size_t size : {size_t{0}, size_t{3}, size_t{1} << 40}) {
    open.size = size;
    expect_invalid(kl_engine_open(&open, &engine), "size");
    auto info = kl_model_info{};
    info.size = size;
    expect_invalid(kl_model_get_info(w.model, &info), "size");
  }
}

TEST(Misuse, APictureMustBeDescribedWhole) {
  World w;
  kl_image* image = nullptr;
  const kl_image_source good = source_of(w.pixels);
  const auto open = [&](const std::function<void(kl_image_source&)>& change, const kl_image_options* options = nullptr) {
    kl_image_source source = good;
    change(source);
    expect_invalid(kl_image_open(w.seeing, &source, options, &image), "image_open");
    EXPECT_EQ(image, nullptr);
  };
  expect_invalid(kl_image_open(w.seeing, nullptr, nullptr, &image), "image_open");
  expect_invalid(kl_image_open(w.seeing, &good, nullptr, nullptr), "image_open");
  open([](auto& s) { s.size = 0; });
  open([](auto& s) { s.pixels = nullptr; });
  open([](auto& s) { s.path = "x.png"; });
  open([](auto& s) { s.data = &s; });
  open([](auto& s) {
    s.pixels = nullptr;
    s.data = &s;
  });
  open([](auto& s) {
    s.pixels = nullptr;
    s.path = "";
  });
  open([](auto& s) { s.width = 0; });
  open([](auto& s) { s.height = 0; });
  open([](auto& s) { s.width = UINT32_MAX; });
  open([](auto& s) { s.height = UINT32_MAX; });
  open([](auto& s) { s.stride = 23; });
  open([](auto& s) { s.stride = SIZE_MAX; });
  open([](auto& s) { s.pixel_format = -1; });
  open([](auto& s) { s.pixel_format = 5; });
  auto options = sized<kl_image_options>();
  for (const float bad : {-0.1f, 0.91f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    options.prune = bad;
    open([](auto&) {}, &options);
  }
  options.size = 1;
  options.prune = 0;
  open([](auto&) {}, &options);
  expect_invalid(kl_image_get_info(w.image, nullptr), "info");
  expect_invalid(kl_image_wait(w.image, 0, nullptr), "wait");
  EXPECT_EQ(wait_for(w.image).state, KL_IMAGE_READY);
  expect_invalid(kl_image_rows(w.image, nullptr, 1 << 20), "rows");
  float row[4] = {};
  expect_invalid(kl_image_rows(w.image, row, 4), "rows");
  expect_invalid(kl_engine_get_feature_cache_stats(w.engine.handle, nullptr), "stats");
  EXPECT_EQ(kl_image_destroy(w.image), KL_OK);
  expect_invalid(kl_image_destroy(w.image), "destroyed twice");
  w.image = nullptr;
}

TEST(Misuse, NumbersOutOfRangeAreErrors) {
  World w;
  (void)read(std::exchange(w.generation, nullptr));
  const float nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
  kl_generation* generation = nullptr;
  const auto send = [&](auto change) {
    auto sampling = sized<kl_sampling>();
    auto options = sized<kl_send_options>();
    options.sampling = &sampling;
    change(options, sampling);
    return kl_session_send(w.session, "a", &options, &generation);
  };
  for (const float bad : {nan, inf, -inf, -1.0f, 1000.0f}) {
    expect_invalid(send([&](auto&, auto& s) { s.temperature = bad; }), "temperature");
    expect_invalid(send([&](auto&, auto& s) { s.top_p = bad; }), "top_p");
    expect_invalid(send([&](auto&, auto& s) { s.min_p = bad; }), "min_p");
    expect_invalid(send([&](auto&, auto& s) { s.repeat_penalty = bad; }), "repeat_penalty");
    expect_invalid(send([&](auto&, auto& s) { s.presence_penalty = bad * 200; }), "presence_penalty");
    expect_invalid(send([&](auto&, auto& s) { s.frequency_penalty = bad * 200; }), "frequency_penalty");
  }
  expect_invalid(send([&](auto&, auto& s) { s.top_k = -1; }), "top_k");
  expect_invalid(send([&](auto& o, auto&) { o.logprobs = 65; }), "logprobs");
  expect_invalid(send([&](auto& o, auto&) { o.event_queue = 1; }), "event_queue");
  expect_invalid(send([&](auto& o, auto&) { o.event_queue = 1u << 30; }), "event_queue");
  const char* stops[65] = {};
  expect_invalid(send([&](auto& o, auto&) { o.stop = stops, o.stop_count = 65; }), "stop");
  expect_invalid(send([&](auto& o, auto&) { o.stop = stops, o.stop_count = 1; }), "stop");
  expect_invalid(send([&](auto& o, auto&) { o.stop_count = 1; }), "stop");
  stops[0] = "";
  expect_invalid(send([&](auto& o, auto&) { o.stop = stops, o.stop_count = 1; }), "stop");
  EXPECT_EQ(send([&](auto& o, auto&) { o.image_count = 1; }), KL_INVALID_ARGUMENT);
  const auto load = [&](auto change) {
    auto options = sized<kl_model_options>();
    change(options);
    kl_model* model = nullptr;
    return kl_model_load(w.engine.handle, model_path(), &options, &model);
  };
  expect_invalid(load([](auto& o) { o.context = 1u << 31; }), "context");
  expect_invalid(load([](auto& o) { o.kv = 5; }), "kv");
  expect_invalid(load([](auto& o) { o.kv = -1; }), "kv");
  expect_invalid(load([](auto& o) { o.activations = 4; }), "activations");
  expect_invalid(load([](auto& o) { o.max_sequences = 1u << 20; }), "max_sequences");
  expect_invalid(load([](auto& o) { o.max_rows = 1u << 20; }), "max_rows");
  expect_invalid(load([](auto& o) { o.max_logit_rows = 1u << 20; }), "max_logit_rows");
  const auto open = [&](auto change) {
    auto options = sized<kl_engine_options>();
    change(options);
    kl_engine* engine = nullptr;
    return kl_engine_open(&options, &engine);
  };
  expect_invalid(open([](auto& o) { o.backend = 5; }), "backend");
  expect_invalid(open([](auto& o) { o.backend = -1; }), "backend");
  expect_invalid(open([](auto& o) { o.threads = -1; }), "threads");
  expect_invalid(open([](auto& o) { o.threads = 257; }), "threads");
  expect_invalid(open([](auto& o) { o.device = -1; }), "device");
  expect_invalid(open([](auto& o) { o.min_log_level = 9; }), "min_log_level");
  EXPECT_EQ(open([](auto& o) { o.device = 7; }), KL_NOT_FOUND);
  EXPECT_EQ(open([](auto& o) { o.backend = KL_BACKEND_CUDA; }), KL_NOT_FOUND);
  auto roof = sized<kl_roofline>();
  expect_invalid(kl_engine_measure(w.engine.handle, -1, &roof), "measure");
  expect_invalid(kl_engine_measure(w.engine.handle, 3, &roof), "measure");  // the fake team has 2
}

TEST(Misuse, ShorterAndLongerStructsOfOtherVersionsWork) {
  World w;
  (void)read(std::exchange(w.generation, nullptr));
  struct Short {  // kl_send_options as it might have been once
    size_t size;
    const kl_sampling* sampling;
    uint32_t max_tokens;
  } old{offsetof(Short, max_tokens) + sizeof(uint32_t), nullptr, 3};  // padding behind the last field is no field
  kl_generation* generation = nullptr;
  auto prompt = sized<kl_prompt>();
  const auto ids = some_ids(4, 2);
  prompt.ids = ids.data();
  prompt.id_count = ids.size();
  ASSERT_EQ(kl_session_generate_raw(w.session, &prompt, reinterpret_cast<const kl_send_options*>(&old), &generation), KL_OK)
      << kl_last_error();
  EXPECT_EQ(read(generation).ids.size(), 3u);
  struct Long {
    kl_send_options options;
    uint64_t future;
  } newer{};
  newer.options.size = sizeof(Long);
  newer.options.max_tokens = 2;
  ASSERT_EQ(kl_session_generate_raw(w.session, &prompt, &newer.options, &generation), KL_OK) << kl_last_error();
  EXPECT_EQ(read(generation).ids.size(), 2u);
  newer.future = 1;
  EXPECT_EQ(kl_session_generate_raw(w.session, &prompt, &newer.options, &generation), KL_UNSUPPORTED);
  alignas(8) unsigned char bytes[sizeof(kl_model_info) + 1];  // a shorter, unaligned out struct: nothing is written past its end
  std::memset(bytes, 0xAB, sizeof bytes);
  const size_t size = 40;
  std::memcpy(bytes + 1, &size, sizeof size);
  ASSERT_EQ(kl_model_get_info(w.model, reinterpret_cast<kl_model_info*>(bytes + 1)), KL_OK);
  EXPECT_EQ(bytes[1 + size], 0xAB);
  EXPECT_EQ(std::string(reinterpret_cast<char*>(bytes + 1 + sizeof size), 5), "llama");
}

}  // namespace
}  // namespace kl::fake
