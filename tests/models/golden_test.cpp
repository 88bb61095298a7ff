// Every family against Hugging Face transformers: tiny random-weight models, float64 logits (scripts/goldens/models.py).
#include "models/golden.h"

namespace kl {
namespace {

class Families : public testing::TestWithParam<const char*> {};

TEST_P(Families, ReferencePrefillEqualsTransformers) {
  const Golden g = read_golden(GetParam());
  ASSERT_GE(g.ids.size(), 64u);
  const double d = distance(run_model(g.path, g.ids, {.reference = true, .kv = KvFormat::f32, .activations = {}}), g.logits);
  RecordProperty("distance", std::to_string(d));
  EXPECT_LE(d, 1e-4);
}

TEST_P(Families, ReferenceStepByStepEqualsTransformers) {
  const Golden g = read_golden(GetParam());
  EXPECT_LE(distance(run_model(g.path, g.ids, {.chunk = 1, .reference = true, .kv = KvFormat::f32, .activations = {}}), g.logits), 1e-4);
}

TEST_P(Families, FastPathIsWithinTheKlBound) {
  const Golden g = read_golden(GetParam());
  for (const uint32_t chunk : {512u, 1u}) {
    const double kl = mean_kl(run_model(g.path, g.ids, {.chunk = chunk, .threads = 2, .activations = {}}), g.logits, g.vocabulary);
    EXPECT_LE(kl, 1e-3) << "chunk " << chunk;
    EXPECT_GE(kl, -1e-9);
  }
}

TEST_P(Families, FastPathBitsDoNotDependOnChunksOrThreads) {
  const Golden g = read_golden(GetParam());
  const std::vector<float> whole = run_model(g.path, g.ids, {.activations = {}});
  for (const Cut& cut : {Cut{.chunk = 1}, Cut{.chunk = 7}, Cut{.chunk = 32, .threads = 2}, Cut{.chunk = 512, .threads = 3}}) {
    const std::vector<float> other = run_model(g.path, g.ids, cut);
    ASSERT_EQ(other.size(), whole.size());
    EXPECT_EQ(std::memcmp(other.data(), whole.data(), whole.size() * sizeof(float)), 0)
        << "chunk " << cut.chunk << ", threads " << cut.threads;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Families,
                         testing::Values("llama", "llama3", "tinyllama", "mistral", "smollm2", "qwen2", "qwen3", "gemma3", "llama-q4_0",
                                         "llama-q4_1", "llama-q8_0", "gemma3-q4_0"),
                         [](const auto& each) {
                           std::string name = each.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace kl
