// The engine on the emulated card, through the public interface: sessions beside each other, one that is cancelled, a picture, and a card that is lost under them, after
// which everything goes on on the CPU and says the same. Inputs are float32, so that texts can be compared with the CPU's.
#include <kinglet/kinglet.hpp>

#include "cuda/emulated_device.h"
#include "engine/c_api.h"
#include "support/fixture_models.h"
#include "support/losing_device.h"

namespace kl::cuda {
namespace {

using cuda_host::machine;

const EngineOptions kCpu{.backend = Backend::cpu, .threads = 2, .log = {}, .cache_dir = {}, .features = {}};

enum class On { cpu, card };

// An engine on the machine's card with the CPU behind it, or on the CPU alone.
class App {
 public:
  explicit App(On on, std::set<uint64_t> lost_at = {}) {
    EngineParts parts = parts_for(kCpu);
    if (on == On::card) {
      losses->lose_at(std::move(lost_at));
      parts.open_device = [losses = losses]() -> Result<OpenedDevice> {
        KL_ASSIGN(std::unique_ptr<Device> device, open_cuda({.device = 0, .driver = &cuda_host::driver()}));
        return OpenedDevice{std::make_unique<LosingDevice>(std::move(device), losses), "the emulated card"};
      };
      parts.open_next = [open = parts_for(kCpu).open_device](const DeviceInfo&) { return open(); };
    }
    auto opened = Engine::open(kCpu, parts);
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    kl_engine* handle = nullptr;
    EXPECT_TRUE(opened.ok() && c_api::give(*opened, &handle).ok());
    engine.emplace(handle);
  }
  kinglet::Model load(const std::string& file, const std::string& projector = {}) const {
    kinglet::ModelOptions options;
    options.context = 256;
    options.kv_tokens = 1024;
    options.activations = kinglet::Activations::f32;
    options.projector = projector;
    auto model = engine->load(file, options);
    EXPECT_TRUE(model) << model.error().message;
    return std::move(*model);
  }

  std::shared_ptr<Losses> losses = std::make_shared<Losses>();
  std::optional<kinglet::Engine> engine;
};

class CudaEngine : public testing::Test {
 protected:
  void SetUp() override {
    device_under_test().lose();  // its memory is the machine's too
    machine() = cuda_host::Machine{};
  }
  void TearDown() override {
    for (const std::string& finding : machine().findings) ADD_FAILURE() << finding;
    machine() = cuda_host::Machine{};
  }
};

std::string text_of(kinglet::Generation generation) {
  const kinglet::Answer answer = generation.wait();
  EXPECT_EQ(answer.ending.how, kinglet::End::finished) << answer.ending.error.message;
  return answer.text;
}

const std::vector<std::string> kPrompts = {"Once upon a time", "The little dog was sad because", "Lily and Tom"};

// What sessions beside each other say, each with a number of tokens of its own.
std::vector<std::string> tell(const App& app, uint32_t tokens) {
  const kinglet::Model model = app.load(kStories);
  std::vector<kinglet::Session> sessions;
  std::vector<kinglet::Generation> running;
  for (size_t i = 0; i < kPrompts.size(); ++i) {
    sessions.push_back(std::move(*model.session()));
    running.push_back(sessions.back().raw(kPrompts[i], {.max_tokens = static_cast<uint32_t>(tokens + 3 * i)}));
  }
  std::vector<std::string> texts;
  for (auto& generation : running) texts.push_back(text_of(std::move(generation)));
  return texts;
}

TEST_F(CudaEngine, SessionsBesideEachOtherSayWhatTheyDoOnTheCpuAndLeaveNothingBehind) {
  const std::vector<std::string> wanted = tell(App(On::cpu), 4);
  {
    const App app(On::card);
    EXPECT_EQ(app.engine->device().backend_name, std::string("cuda"));
    EXPECT_EQ(tell(app, 4), wanted);
    EXPECT_EQ(app.engine->stats().devices_lost, 0U);
    EXPECT_GT(app.engine->stats().steps_ahead, 0U);
    EXPECT_GT(machine().launches, 0U);
  }
  EXPECT_EQ(machine().allocations, 0U);
  EXPECT_EQ(machine().graphs, 0U);
  EXPECT_EQ(machine().contexts, 0U);
}

TEST_F(CudaEngine, ACancelledGenerationStopsAndTheOneBesideItGoesOn) {
  const auto both = [](On on) {
    const App app(on);
    const kinglet::Model model = app.load(kStories);
    auto first = model.session(), second = model.session();
    auto stopped = first->raw(kPrompts[0], {.max_tokens = 200, .event_queue = 2});
    auto other = second->raw(kPrompts[1], {.max_tokens = 8});
    kinglet::Piece piece;
    EXPECT_TRUE(stopped.next(piece));
    stopped.cancel();
    std::vector<std::string> texts = {text_of(std::move(other))};
    EXPECT_EQ(stopped.wait().ending.how, kinglet::End::stopped);
    EXPECT_TRUE(first->reset());
    texts.push_back(text_of(first->raw(kPrompts[2], {.max_tokens = 4})));
    return texts;
  };
  EXPECT_EQ(both(On::card), both(On::cpu));
}

// A fault of the driver's own, of the kind that stays, between two turns of a session: the second is told on the CPU, from the same history.
TEST_F(CudaEngine, ASessionGoesOnOnTheCpuBehindAFaultOfTheCard) {
  const auto turns = [](On on) {
    const App app(on);
    const kinglet::Model model = app.load(kStories);
    const auto session = model.session();
    std::vector<std::string> texts = {text_of(session->raw(kPrompts[0], {.max_tokens = 4}))};
    if (on == On::card) {  // nothing runs now
      machine().fail_call = "cuGraphLaunch";
      machine().fail_code = kCudaIllegalAddress;
    }
    texts.push_back(text_of(session->raw(", and", {.max_tokens = 8})));
    if (on == On::card) {
      EXPECT_TRUE(machine().fail_call.empty());
      EXPECT_EQ(app.engine->device().backend_name, std::string("cpu"));
      EXPECT_EQ(app.engine->stats().devices_lost, 1U);
    }
    return texts;
  };
  EXPECT_EQ(turns(On::card), turns(On::cpu));
}

// Longer runs: the sampled tier takes some of them, the full one all.
class EngineOnCuda : public CudaEngine, public testing::WithParamInterface<uint64_t> {};

TEST_P(EngineOnCuda, LostAtASubmissionGoesOnOnTheCpu) {
  const std::vector<std::string> wanted = tell(App(On::cpu), 8);
  const App app(On::card, {GetParam()});
  EXPECT_EQ(tell(app, 8), wanted);
  EXPECT_EQ(app.engine->stats().devices_lost, 1U);
  EXPECT_EQ(app.engine->device().backend_name, std::string("cpu"));
}
INSTANTIATE_TEST_SUITE_P(Submissions, EngineOnCuda, testing::Values(0, 1, 6, 13));

class PictureOnCuda : public CudaEngine, public testing::WithParamInterface<const char*> {};

struct Seen {
  std::string answer;
  uint64_t encoded = 0;  // submissions
};

Seen look(const App& app, const std::string& model_file) {
  const kinglet::Model model = app.load(kShapes + model_file, kShapes + "mmproj-shapes-vlm-f16.gguf");
  auto image = model.image(kShapes + "pictures/06.png");
  EXPECT_TRUE(image);
  kl_image_info info{};
  info.size = sizeof info;
  EXPECT_EQ(kl_image_wait(image->get(), -1, &info), KL_OK);
  EXPECT_EQ(info.state, KL_IMAGE_READY);
  Seen seen;
  seen.encoded = app.losses->count();
  const auto session = model.session();
  seen.answer = text_of(session->send("What do you see?", {.max_tokens = 16, .images = {&*image}}));
  return seen;
}

// As on the CPU; and so where the card is lost while it is encoded, and while it is talked about.
TEST_P(PictureOnCuda, IsAnsweredAboutAsOnTheCpuWhereverTheCardIsLost) {
  const std::string wanted = look(App(On::cpu), GetParam()).answer;
  EXPECT_FALSE(wanted.empty());
  const App whole(On::card);
  const Seen plain = look(whole, GetParam());
  EXPECT_EQ(plain.answer, wanted);
  EXPECT_EQ(whole.engine->stats().devices_lost, 0U);
  ASSERT_GT(plain.encoded, 0U);
  for (const uint64_t at : {plain.encoded / 2, plain.encoded + 1}) {
    const App app(On::card, {at});
    EXPECT_EQ(look(app, GetParam()).answer, wanted) << "lost at submission " << at << ", encoded after " << plain.encoded;
    EXPECT_EQ(app.engine->stats().devices_lost, 1U);
    EXPECT_EQ(app.engine->device().backend_name, std::string("cpu"));
  }
}
INSTANTIATE_TEST_SUITE_P(Weights, PictureOnCuda, testing::Values("shapes-vlm-q4_0.gguf"), [](const auto&) { return std::string("q4_0"); });

}  // namespace
}  // namespace kl::cuda
