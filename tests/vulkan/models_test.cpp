// The families' goldens on the Vulkan device, and the promise of equal bits.
#include "models/golden.h"
#include "vulkan/driver.h"

namespace kl {
namespace {

class VulkanFamilies : public testing::TestWithParam<const char*> {};

TEST_P(VulkanFamilies, AreWithinTheKlBound) {
  KL_VULKAN_OR_SKIP(device);
  const Golden g = read_golden(GetParam());
  const double kl = mean_kl(run_model(g.path, g.ids, {.activations = ActivationFormat::f32, .device = device}), g.logits, g.vocabulary);
  EXPECT_LE(kl, 1e-4);
  EXPECT_GE(kl, -1e-9);
}

// Chunks of one row take the kernels of few rows and split attention, 512 the others.
void expect_equal_bits(Device& device, const Golden& g, ActivationFormat activations) {
  const std::vector<float> whole = run_model(g.path, g.ids, {.activations = activations, .device = &device});
  for (const uint32_t chunk : {1u, 7u}) {
    const std::vector<float> other = run_model(g.path, g.ids, {.chunk = chunk, .activations = activations, .device = &device});
    ASSERT_EQ(other.size(), whole.size());
    EXPECT_EQ(std::memcmp(other.data(), whole.data(), whole.size() * sizeof(float)), 0) << "chunk " << chunk;
  }
}

TEST_P(VulkanFamilies, BitsDoNotDependOnChunks) {
  KL_VULKAN_OR_SKIP(device);
  expect_equal_bits(*device, read_golden(GetParam()), ActivationFormat::f32);
}

// The same model with inputs rounded to 8 bits: integer dot products, the matrix kernel for prompts, the driver's own where it has matrices, else emulated.
class VulkanBytes : public testing::TestWithParam<const char*> {};

TEST_P(VulkanBytes, BitsDoNotDependOnChunksOrTheKernelOfPrompts) {
  KL_VULKAN_OR_SKIP(dot, vulkan::without_matrices());
  const bool own = vulkan::without_matrices() != 0;
  KL_VULKAN_OR_SKIP(matrix, 0, false, own ? vulkan::kOwnMatrices : std::array<uint32_t, 3>{8, 16, 32});
  const Golden g = read_golden(GetParam());
  expect_equal_bits(*dot, g, ActivationFormat::q8);
  EXPECT_EQ(run_model(g.path, g.ids, {.chunk = 32, .activations = ActivationFormat::q8, .device = matrix}),
            run_model(g.path, g.ids, {.chunk = 32, .activations = ActivationFormat::q8, .device = dot}));
}

// The last bit of a norm may move a code by one, here as in the CPU's kernels: an effect of rounding, so it is held to a part of what rounding itself does to
// the model.
TEST_P(VulkanBytes, AreNearerToTheReferenceWithTheSameRoundingThanRoundingIsToExactness) {
  KL_VULKAN_OR_SKIP(device);
  const Golden g = read_golden(GetParam());
  const std::vector<float> rounded = run_model(g.path, g.ids, {.reference = true, .activations = ActivationFormat::q8});
  const double floor = mean_kl(rounded, g.logits, g.vocabulary);
  EXPECT_LT(floor, 1e-3);
  EXPECT_LE(mean_kl(run_model(g.path, g.ids, {.activations = ActivationFormat::q8, .device = device}), rounded, g.vocabulary), floor / 2);
}

INSTANTIATE_TEST_SUITE_P(All, VulkanBytes, testing::Values("llama-q4_0", "llama-q4_1", "llama-q8_0", "gemma3-q4_0"), [](const auto& each) {
  std::string name = each.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

INSTANTIATE_TEST_SUITE_P(All, VulkanFamilies,
                         testing::Values("llama", "llama3", "qwen2", "qwen3", "gemma3", "llama-q4_0", "llama-q4_1", "llama-q8_0",
                                         "gemma3-q4_0"),
                         [](const auto& each) {
                           std::string name = each.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace kl
