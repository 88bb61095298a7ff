// Lost devices with real models: CPU devices around which the test puts losses, so that every text must be that of a run without.
#include <gtest/gtest.h>

#include <kinglet/kinglet.hpp>
#include <random>

#include "engine/c_api.h"
#include "support/fixture_models.h"
#include "support/losing_device.h"

namespace kl {
namespace {

struct Lossy {
  explicit Lossy(std::set<uint64_t> at, int others = 3) {
    const EngineOptions options{.backend = Backend::cpu, .threads = 2, .log = {}, .cache_dir = {}, .features = {}};
    losses->lose_at(std::move(at));
    auto opened = Engine::open(options, losing_parts(options, options, losses, others));
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    kl_engine* handle = nullptr;
    EXPECT_TRUE(c_api::give(*opened, &handle).ok());
    engine.emplace(handle);
  }
  std::shared_ptr<Losses> losses = std::make_shared<Losses>();
  std::optional<kinglet::Engine> engine;
};

const std::vector<std::string> kPrompts = {"", "Once upon a time", "The little dog was sad because",
                                           "Lily and Tom went to the park. They saw a big tree and"};

// What four sessions beside each other say, greedily, and after how many submissions.
struct Told {
  std::vector<std::string> texts;
  uint64_t submissions = 0, lost = 0;
};
Told tell(std::set<uint64_t> at, uint32_t max_rows, const char* kv_name) {
  Lossy lossy(std::move(at));
  kinglet::ModelOptions options;
  options.context = 256;
  options.max_rows = max_rows;
  options.kv_tokens = 1024;
  options.kv = std::string(kv_name) == "q8" ? kinglet::Kv::q8 : kinglet::Kv::f16;
  auto model = lossy.engine->load(kStories, options);
  EXPECT_TRUE(model) << model.error().message;
  std::vector<kinglet::Session> sessions;
  std::vector<kinglet::Generation> running;
  for (size_t i = 0; i < kPrompts.size(); ++i) {
    sessions.push_back(std::move(*model->session()));
    auto generation = sessions.back().raw(kPrompts[i], {.max_tokens = static_cast<uint32_t>(12 + 9 * i)});
    running.push_back(std::move(generation));
  }
  Told told;
  for (auto& generation : running) {
    auto answer = generation.wait();
    EXPECT_EQ(answer.ending.how, kinglet::End::finished) << answer.ending.error.message;
    told.texts.push_back(answer.text);
  }
  told.submissions = lossy.losses->count();
  told.lost = lossy.engine->stats().devices_lost;
  return told;
}

TEST(LostCpu, SessionsBesideEachOtherTellTheirStoriesToTheEnd) {
  std::mt19937 random(5);
  for (const char* kv : {"f16", "q8"}) {
    for (const uint32_t max_rows : {512u, 12u}) {
      const Told plain = tell({}, max_rows, kv);
      EXPECT_EQ(plain.lost, 0u);
      ASSERT_GT(plain.submissions, 20u);
      uint64_t lost = 0;
      for (int run = 0; run < 12; ++run) {
        std::set<uint64_t> at;
        for (int i = 0; i <= run % 4; ++i) at.insert(random() % 38);  // the longest story alone takes 39
        if (run == 3) at = {0, 1, 2};                                 // in a row, before anything was done
        const Told told = tell(at, max_rows, kv);
        EXPECT_EQ(told.texts, plain.texts) << "run " << run;
        EXPECT_EQ(told.lost, at.size());
        lost += told.lost;
      }
      EXPECT_GT(lost, 20u);
    }
  }
}

struct Seen {
  std::string answer;
  uint64_t encoded = 0, first_token = 0, end = 0;  // submissions until then
  uint64_t lost = 0, changes = 0;
};
Seen look(std::set<uint64_t> at, int others = 3) {
  Lossy lossy(std::move(at), others);
  kinglet::ModelOptions options;
  options.projector = kShapes + "mmproj-shapes-vlm-f16.gguf";
  options.max_rows = 96;
  auto model = lossy.engine->load(kShapes + "shapes-vlm-q8_0.gguf", options);
  EXPECT_TRUE(model) << model.error().message;
  auto image = model->image(kShapes + "pictures/06.png");
  EXPECT_TRUE(image);
  auto session = model->session();
  EXPECT_TRUE(session);
  Seen seen;
  kl_image_info info{};
  info.size = sizeof info;
  EXPECT_EQ(kl_image_wait(image->get(), 60000, &info), KL_OK);
  EXPECT_EQ(info.state, KL_IMAGE_READY);
  seen.encoded = lossy.losses->count();
  kinglet::SendOptions send = {.max_tokens = 24};
  send.event_queue = 2;  // the scheduler is at most a few tokens ahead of what is read
  send.images = {&*image};
  auto generation = session->send("What do you see?", send);
  for (auto& piece : generation) {
    if (seen.first_token == 0) seen.first_token = lossy.losses->count();
    seen.answer += piece.text;
  }
  EXPECT_EQ(generation.ending().how, kinglet::End::finished) << generation.ending().error.message;
  seen.changes = generation.stats().device_changes;
  seen.end = lossy.losses->count();
  seen.lost = lossy.engine->stats().devices_lost;
  return seen;
}

TEST(LostCpu, APictureIsAnsweredAboutWhereverItsDeviceWasLost) {
  const Seen plain = look({});
  ASSERT_FALSE(plain.answer.empty());
  ASSERT_LT(plain.encoded, plain.first_token);
  ASSERT_LT(plain.first_token, plain.end);
  const uint64_t e = plain.encoded, f = plain.first_token, end = plain.end;
  for (const uint64_t at : {uint64_t{0}, e / 3, e - 1, e, (e + f) / 2, f - 1, f, (f + end) / 2, end - 1}) {
    const Seen seen = look({at});
    EXPECT_EQ(seen.answer, plain.answer) << "submission " << at << " of " << e << ", " << f << ", " << end;
    EXPECT_EQ(seen.lost, 1u) << at;
    EXPECT_EQ(seen.changes, at < e ? 0u : 1u) << at;
  }
  const Seen twice = look({e / 2, e + 3});
  EXPECT_EQ(twice.answer, plain.answer);
  EXPECT_EQ(twice.lost, 2u);
}

}  // namespace
}  // namespace kl
