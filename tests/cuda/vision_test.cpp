// Every vision-language family's goldens through the whole CUDA backend on the emulated driver: the encoder's rows, then text after the picture.
#include "models/vision_golden.h"

#include "cuda/emulated_device.h"

namespace kl {
namespace {

class CudaVision : public cuda::OnDevice, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    cuda::OnDevice::SetUp();
    g_ = read_vision_golden(GetParam());
    ASSERT_FALSE(g_.rows.empty());
  }
  // Feature rows of all tiles, `segments` segments of the encoder at a time; sets the block that they make.
  std::vector<float> rows(std::optional<ActivationFormat> activations, uint32_t segments = ~0u) {
    if (device_ == nullptr) return {};
    const auto encoder = open_encoder(g_.projector_path, *device_, {.activations = activations, .pack_cache_dir = {}});
    if (encoder == nullptr) return {};
    const auto made = encoder->block(g_.tiles.front().width, g_.tiles.front().height);
    EXPECT_TRUE(made.ok()) << made.status().message();
    if (made.ok()) block_ = *made;
    return encode(*encoder, g_.tiles, segments);
  }
  VisionGolden g_;
  FeatureBlock block_;
};

TEST_P(CudaVision, RowsAndTheTextAfterThemAreThoseOfTransformers) {
  const std::vector<float> features = rows(ActivationFormat::f32);
  const double d = distance(features, g_.rows);
  RecordProperty("distance", std::to_string(d));
  EXPECT_LE(d, 1e-3);  // weights and patches of 16 bits
  const double kl =
      mean_kl(run_vision(g_, features, block_, {.activations = ActivationFormat::f32, .device = device_}), g_.logits, g_.vocabulary);
  RecordProperty("kl", std::to_string(kl));
  EXPECT_LE(kl, 1e-4);
  EXPECT_GE(kl, -1e-9);
}

// In the number format that the backend prefers: an encoder by the segment, and prompts by one row or seven, none of which may cut a picture that sees itself.
TEST_P(CudaVision, BitsDoNotDependOnSlicesOrChunks) {
  const std::vector<float> features = rows({});
  cuda_host::machine().seed = 5;
  EXPECT_EQ(rows({}, 1), features);
  const std::vector<float> whole = run_vision(g_, features, block_, {.device = device_});
  ASSERT_FALSE(whole.empty());
  for (const uint32_t chunk : {1u, 7u}) {
    cuda_host::machine().seed = 100 + chunk;
    EXPECT_EQ(run_vision(g_, features, block_, {.chunk = chunk, .device = device_}), whole) << "chunk " << chunk;
  }
}

INSTANTIATE_TEST_SUITE_P(All, CudaVision, testing::Values("smolvlm", "llava", "gemma3", "qwen2vl", "qwen25vl"),
                         [](const auto& each) { return std::string(each.param); });

}  // namespace
}  // namespace kl
