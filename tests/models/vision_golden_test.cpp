// Every vision-language family against Hugging Face transformers: tiny random-weight pairs, float64 feature rows and logits
// (scripts/goldens/vision.py).
#include "models/vision_golden.h"

namespace kl {
namespace {

class VisionFamilies : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    g = read_vision_golden(GetParam());
    ASSERT_GE(g.ids.size(), 40u);
    ASSERT_FALSE(g.rows.empty());
  }
  // Feature rows of the device that `cut` names, and the block they make.
  std::vector<float> rows(const Cut& cut) {
    const std::unique_ptr<Device> device = open_device(cut);
    const auto encoder = open_encoder(g.projector_path, *device, {.activations = cut.activations, .pack_cache_dir = {}});
    if (encoder == nullptr) return {};
    const auto made = encoder->block(g.tiles.front().width, g.tiles.front().height);
    EXPECT_TRUE(made.ok()) << made.status().message();
    if (made.ok()) block = *made;
    return encode(*encoder, g.tiles);
  }
  VisionGolden g;
  FeatureBlock block;
};

constexpr Cut kReference = {.reference = true, .kv = KvFormat::f32, .activations = {}};

TEST_P(VisionFamilies, ReferenceRowsEqualTransformers) {
  const double d = distance(rows(kReference), g.rows);
  RecordProperty("distance", std::to_string(d));
  EXPECT_LE(d, 1e-4);
}

TEST_P(VisionFamilies, ReferencePrefillEqualsTransformers) {
  const std::vector<float> features = rows(kReference);
  const double d = distance(run_vision(g, features, block, kReference), g.logits);
  RecordProperty("distance", std::to_string(d));
  EXPECT_LE(d, 1e-4);
}

TEST_P(VisionFamilies, ReferenceStepByStepEqualsTransformers) {
  const std::vector<float> features = rows(kReference);
  Cut cut = kReference;
  cut.chunk = 1;
  EXPECT_LE(distance(run_vision(g, features, block, cut), g.logits), 1e-4);
}

TEST_P(VisionFamilies, FastPathIsWithinTheKlBound) {
  const std::vector<float> features = rows({.threads = 2});
  for (const uint32_t chunk : {512u, 1u}) {
    const double kl = mean_kl(run_vision(g, features, block, {.chunk = chunk, .threads = 2}), g.logits, g.vocabulary);
    EXPECT_LE(kl, 1e-3) << "chunk " << chunk;
    EXPECT_GE(kl, -1e-9);
  }
}

TEST_P(VisionFamilies, FastPathBitsDoNotDependOnChunksOrThreads) {
  const std::vector<float> features = rows({});
  const std::vector<float> other_features = rows({.threads = 3});
  ASSERT_EQ(features.size(), other_features.size());
  EXPECT_EQ(std::memcmp(features.data(), other_features.data(), features.size() * sizeof(float)), 0);
  const std::vector<float> whole = run_vision(g, features, block, {});
  for (const Cut& cut : {Cut{.chunk = 1}, Cut{.chunk = 7, .threads = 2}}) {
    const std::vector<float> other = run_vision(g, features, block, cut);
    ASSERT_EQ(other.size(), whole.size());
    EXPECT_EQ(std::memcmp(other.data(), whole.data(), whole.size() * sizeof(float)), 0) << "chunk " << cut.chunk;
  }
}

INSTANTIATE_TEST_SUITE_P(All, VisionFamilies, testing::Values("smolvlm", "llava", "gemma3", "qwen2vl", "qwen25vl"),
                         [](const auto& each) { return std::string(each.param); });

}  // namespace
}  // namespace kl
