// Every vision-language family's goldens on the Vulkan device, and the promise of equal bits for pictures.
#include "models/vision_on_device.h"
#include "vulkan/driver.h"

namespace kl {
namespace {

class VulkanVision : public testing::TestWithParam<const char*> {};

TEST_P(VulkanVision, RowsAndTheTextAfterThemAreThoseOfTransformers) {
  KL_VULKAN_OR_SKIP(device);
  expect_rows_and_text_of_transformers(read_vision_golden(GetParam()), *device);
}

// Inputs of 8 bits, the best tier's: an encoder by the segment, and prompts by one row or seven, none of which may cut a picture that sees itself.
TEST_P(VulkanVision, BitsDoNotDependOnSlicesOrChunks) {
  KL_VULKAN_OR_SKIP(device);
  const VisionGolden g = read_vision_golden(GetParam());
  const Cut whole{.activations = ActivationFormat::q8, .device = device};
  const EncodedTiles made = encode_tiles(g, *device, ActivationFormat::q8);
  EXPECT_EQ(encode_tiles(g, *device, ActivationFormat::q8, 1).rows, made.rows);
  const std::vector<float> logits = run_vision(g, made.rows, made.block, whole);
  ASSERT_FALSE(logits.empty());
  for (const uint32_t chunk : {1u, 7u}) {
    Cut cut = whole;
    cut.chunk = chunk;
    EXPECT_EQ(run_vision(g, made.rows, made.block, cut), logits) << "chunk " << chunk;
  }
}

INSTANTIATE_TEST_SUITE_P(All, VulkanVision, testing::Values("smolvlm", "llava", "gemma3", "qwen2vl", "qwen25vl"),
                         [](const auto& each) { return std::string(each.param); });

}  // namespace
}  // namespace kl
