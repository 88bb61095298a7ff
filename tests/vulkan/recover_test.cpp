// A Vulkan device that is lost under running generations: they go on on the CPU, and say the same.
#include <kinglet/kinglet.hpp>

#include "engine/c_api.h"
#include "support/losing_device.h"
#include "vulkan/driver.h"

namespace kl::vulkan {
namespace {

EngineOptions on(Backend backend) { return {.backend = backend, .threads = 2, .log = {}, .cache_dir = shared_cache_dir(), .features = {}}; }

struct Told {
  std::vector<std::string> texts;
  std::string backend;
  uint64_t submissions = 0, lost = 0, ahead = 0;
};

Told tell(Backend backend, std::set<uint64_t> at) {
  const EngineOptions first = on(backend);
  auto losses = std::make_shared<Losses>();
  losses->lose_at(std::move(at));
  auto opened = Engine::open(first, losing_parts(first, on(Backend::cpu), losses, 0));
  EXPECT_TRUE(opened.ok()) << opened.status().message();
  Told told;
  if (!opened.ok()) return told;
  kl_engine* handle = nullptr;
  EXPECT_TRUE(c_api::give(*opened, &handle).ok());
  const kinglet::Engine engine(handle);
  kinglet::ModelOptions options;
  options.context = 256;
  options.kv_tokens = 1024;
  options.activations = kinglet::Activations::f32;
  auto model = engine.load(KL_TEST_DATA "/data/stories260K.gguf", options);
  EXPECT_TRUE(model) << model.error().message;
  std::vector<kinglet::Session> sessions;
  std::vector<kinglet::Generation> running;
  for (const char* prompt : {"Once upon a time", "The little dog was sad because"}) {
    sessions.push_back(std::move(*model->session()));
    running.push_back(sessions.back().raw(prompt, {.max_tokens = 24}));
  }
  for (auto& generation : running) {
    auto answer = generation.wait();
    EXPECT_EQ(answer.ending.how, kinglet::End::finished) << answer.ending.error.message;
    told.texts.push_back(answer.text);
  }
  told.backend = engine.device().backend_name;
  told.submissions = losses->count();
  told.lost = engine.stats().devices_lost;
  told.ahead = engine.stats().steps_ahead;
  return told;
}

TEST(VulkanLost, GenerationsGoOnOnTheCpu) {
  KL_VULKAN_OR_SKIP(device);
  const Told cpu = tell(Backend::cpu, {});
  const Told whole = tell(Backend::vulkan, {});
  EXPECT_EQ(whole.backend, "vulkan");
  EXPECT_EQ(whole.texts, cpu.texts);
  EXPECT_GT(whole.ahead, 10u);
  EXPECT_EQ(cpu.ahead, 0u);
  for (const uint64_t at : {uint64_t{0}, uint64_t{1}, uint64_t{7}, uint64_t{20}}) {
    const Told told = tell(Backend::vulkan, {at});
    EXPECT_EQ(told.texts, cpu.texts) << "lost at submission " << at;
    EXPECT_EQ(told.backend, "cpu");
    EXPECT_EQ(told.lost, 1u);
  }
}

}  // namespace
}  // namespace kl::vulkan
