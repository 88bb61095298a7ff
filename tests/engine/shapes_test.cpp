// The small vision-language model of samples/image_question answers as the reference does, and no way of computing a prompt changes a bit.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <kinglet/kinglet.hpp>
#include <sstream>

#include "engine/json_text.h"

namespace kl {
namespace {

const std::string kFolder = KL_TEST_DATA "/../samples/image_question/model/";

struct Question {
  std::string image, question, reference;
};

std::vector<Question> questions() {
  std::ifstream file(kFolder + "pictures/answers.json");
  std::stringstream text;
  text << file.rdbuf();
  const auto parsed = parse_json(text.str(), "answers");
  std::vector<Question> out;
  if (!parsed.ok()) return out;
  for (const Json& entry : parsed->array()) {
    out.push_back({*entry.find("image")->string(), *entry.find("question")->string(), *entry.find("reference")->string()});
  }
  return out;
}

struct Shapes {
  explicit Shapes(kinglet::EngineOptions engine_options = {}, kinglet::ModelOptions options = {}) {
    engine_options.backend = kinglet::Backend::cpu;
    auto opened = kinglet::Engine::open(engine_options);
    EXPECT_TRUE(opened) << opened.error().message;
    engine.emplace(std::move(*opened));
    options.projector = kFolder + "mmproj-shapes-vlm-f16.gguf";
    auto loaded = engine->load(kFolder + "shapes-vlm-q8_0.gguf", options);
    EXPECT_TRUE(loaded) << loaded.error().message;
    model.emplace(std::move(*loaded));
  }
  kinglet::Image image(const std::string& name, const kinglet::ImageOptions& options = {}) const {
    auto opened = model->image(kFolder + "pictures/" + name, options);
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(*opened);
  }
  std::string ask(const std::string& question, const kinglet::Image& about) const {
    auto session = model->session();
    EXPECT_TRUE(session);
    kinglet::SendOptions options = {.max_tokens = 24};  // as many as the reference was asked for
    options.images = {&about};
    auto answer = session->send(question, options).wait();
    EXPECT_EQ(answer.ending.how, kinglet::End::finished) << answer.ending.error.message;
    return answer.text.substr(std::min(answer.text.find_first_not_of(' '), answer.text.size()));
  }
  std::optional<kinglet::Engine> engine;
  std::optional<kinglet::Model> model;
};

TEST(Shapes, AnswersAreTheReferences) {
  const Shapes shapes;
  const auto all = questions();
  ASSERT_EQ(all.size(), 64u);
  size_t same = 0;
  for (const Question& q : all) {
    const kinglet::Image image = shapes.image(q.image);
    const std::string answer = shapes.ask(q.question, image);
    same += answer == q.reference ? 1 : 0;
    EXPECT_EQ(answer, q.reference) << q.image << ": " << q.question;
  }
  EXPECT_EQ(same, all.size());
  const kl_feature_cache_stats stats = shapes.engine->feature_cache();
  EXPECT_EQ(stats.device_hits + stats.host_hits, 48u);  // 16 pictures, four questions each
  EXPECT_EQ(stats.decodes_spared, 48u);
}

TEST(Shapes, AConversationGoesOnAboutSeveralPictures) {
  const Shapes shapes;
  auto session = shapes.model->session();
  ASSERT_TRUE(session);
  const kinglet::Image number = shapes.image("01.png"), other = shapes.image("00.png");
  EXPECT_EQ(session->send("What number is written?", {number}).wait().text, " 89");
  const auto second = session->send("What number is written?", {other}).wait();
  EXPECT_EQ(second.ending.how, kinglet::End::finished) << second.ending.error.message;
  kinglet::Generation again = session->send("What number is written?");
  const auto third = again.wait();
  EXPECT_EQ(third.ending.how, kinglet::End::finished);
  EXPECT_GT(again.stats().cached_tokens, 60u);  // both pictures stayed
}

// Logits of the last row of an image prompt.
std::vector<float> logits_of(const Shapes& shapes, const kinglet::Image& image) {
  const int32_t token = [&] {
    const auto ids = shapes.model->tokenize("<image>", true);
    EXPECT_EQ(ids->size(), 1u);
    return (*ids)[0];
  }();
  std::vector<int32_t> ids = *shapes.model->tokenize("<|im_start|>User:<fake_token_around_image><global-img>", true);
  ids.insert(ids.end(), 16, token);
  const auto rest = *shapes.model->tokenize("<fake_token_around_image>What do you see?<end_of_utterance>\nAssistant:", true);
  ids.insert(ids.end(), rest.begin(), rest.end());
  EXPECT_TRUE(image.wait());
  auto sequence = shapes.model->sequence();
  EXPECT_TRUE(sequence);
  std::vector<float> logits(shapes.model->info().vocabulary);
  const auto done = sequence->append(ids, {&image}, token, logits, 1);
  EXPECT_TRUE(done) << done.error().message;
  return logits;
}

TEST(Shapes, OneImagePromptHasOneSetOfLogitsHoweverItIsComputed) {
  std::vector<float> first;
  for (const int32_t threads : {1, 2, 3}) {
    for (const uint32_t rows : {512u, 7u, 1u}) {
      const Shapes shapes({.threads = threads}, {.max_rows = rows});
      const kinglet::Image image = shapes.image("06.png"), unsliced = shapes.image("06.png", {.cache = false, .unsliced = true});
      const auto logits = logits_of(shapes, image);
      if (first.empty()) first = logits;
      EXPECT_EQ(logits, first) << threads << " threads, " << rows << " rows";
      EXPECT_EQ(logits_of(shapes, unsliced), first) << threads << " threads, " << rows << " rows";
      EXPECT_EQ(logits_of(shapes, shapes.image("06.png")), first);  // from the cache
    }
  }
}

TEST(Shapes, ThePictureIsFoundOnDiskAfterARestart) {
  const auto folder = std::filesystem::temp_directory_path() / ("kinglet_shapes_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  std::vector<float> first;
  for (int start = 0; start < 2; ++start) {
    const Shapes shapes({.cache_dir = folder.string()});
    const kinglet::Image image = shapes.image("03.png");
    const auto info = image.wait();
    ASSERT_TRUE(info) << info.error().message;
    EXPECT_EQ(info->tier, start == 0 ? KL_TIER_NONE : KL_TIER_DISK);
    EXPECT_EQ(info->decoded, start == 0 ? 1 : 0);
    const auto logits = logits_of(shapes, image);
    if (first.empty()) first = logits;
    EXPECT_EQ(logits, first);
  }
  std::filesystem::remove_all(folder);
}

TEST(Shapes, AFileInMemoryAndItsPixelsAreTheSamePicture) {
  const Shapes shapes;
  std::ifstream file(kFolder + "pictures/02.png", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  const kinglet::Image from_path = shapes.image("02.png");
  auto from_memory = shapes.model->image(std::as_bytes(std::span(bytes)));
  ASSERT_TRUE(from_memory);
  auto later = from_memory->future();
  const auto info = later.get();
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_STREQ(info->key, from_path.wait()->key);
  EXPECT_EQ(*from_memory->rows(), *from_path.rows());
  auto nothing = shapes.model->image(kFolder + "pictures/none.png");
  ASSERT_TRUE(nothing);
  EXPECT_EQ(nothing->wait().error().code, KL_NOT_FOUND);
}

TEST(Shapes, AProjectorOfAnotherWidthIsRefused) {
  auto engine = kinglet::Engine::open({.backend = kinglet::Backend::cpu});
  ASSERT_TRUE(engine);
  const auto model = engine->load(KL_TEST_DATA "/data/stories260K.gguf", {.projector = kFolder + "mmproj-shapes-vlm-f16.gguf"});
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, KL_INVALID_ARGUMENT);
  EXPECT_NE(model.error().message.find("256"), std::string::npos) << model.error().message;
  const auto text_as_projector = engine->load(kFolder + "shapes-vlm-q8_0.gguf", {.projector = kFolder + "shapes-vlm-q8_0.gguf"});
  EXPECT_FALSE(text_as_projector);
}

}  // namespace
}  // namespace kl
