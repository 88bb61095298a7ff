// Every vision-language family's goldens through the whole CUDA backend on the emulated driver.
#include "cuda/emulated_device.h"
#include "models/vision_on_device.h"

namespace kl {
namespace {

class CudaVision : public cuda::OnDevice, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    cuda::OnDevice::SetUp();
    g_ = read_vision_golden(GetParam());
    ASSERT_FALSE(g_.rows.empty());
    ASSERT_NE(device_, nullptr);
  }
  VisionGolden g_;
};

TEST_P(CudaVision, RowsAndTheTextAfterThemAreThoseOfTransformers) { expect_rows_and_text_of_transformers(g_, *device_); }

// In the number format that the backend prefers: an encoder by the segment, and prompts by one row or seven, none of which may cut a picture that sees itself.
TEST_P(CudaVision, BitsDoNotDependOnSlicesOrChunks) {
  const EncodedTiles made = encode_tiles(g_, *device_, {});
  cuda_host::machine().seed = 5;
  EXPECT_EQ(encode_tiles(g_, *device_, {}, 1).rows, made.rows);
  const std::vector<float> whole = run_vision(g_, made.rows, made.block, {.device = device_});
  ASSERT_FALSE(whole.empty());
  for (const uint32_t chunk : {1u, 7u}) {
    cuda_host::machine().seed = 100 + chunk;
    EXPECT_EQ(run_vision(g_, made.rows, made.block, {.chunk = chunk, .device = device_}), whole) << "chunk " << chunk;
  }
}

INSTANTIATE_TEST_SUITE_P(All, CudaVision, testing::Values("smolvlm", "llava", "gemma3", "qwen2vl", "qwen25vl"),
                         [](const auto& each) { return std::string(each.param); });

}  // namespace
}  // namespace kl
