// The families' goldens through the whole CUDA backend on the emulated driver, the promise of equal bits, the self-test, and how many launches a layer is.
#include "models/golden.h"

#include "cuda/emulated_device.h"
#include "ir/builder.h"
#include "plan/plan.h"
#include "plan/self_test.h"

namespace kl {
namespace {

// A model's program ends in sample: where the backend has no kernel for it no model runs, and the test says so.
class CudaFamilies : public cuda::OnDevice, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    cuda::OnDevice::SetUp();
    if (device_ == nullptr) return;
    Builder b;
    b.program.kv_groups.push_back({1, 64, 0, 1});
    b.program.logits = b.sample(b.select_rows(b.gather_rows(b.weight({"table", Format::f32, 8, 32}), 1.0f)));
    RunConfig config;
    config.rows = config.outputs = 1;
    config.limits = {1, 1, 1, 1, 1};
    config.kv_pages = {1};
    const auto plan = make_plan(b.program, *device_, config);
    ASSERT_TRUE(plan.ok()) << plan.status().message();
  }
};

TEST_P(CudaFamilies, AreWithinTheKlBound) {
  const Golden g = read_golden(GetParam());
  const double kl = mean_kl(run_model(g.path, g.ids, {.activations = ActivationFormat::f32, .device = device_}), g.logits, g.vocabulary);
  EXPECT_LE(kl, 1e-4);
  EXPECT_GE(kl, -1e-9);
}

// Chunks of one row take the kernels of few rows and split attention, 512 the others.
TEST_P(CudaFamilies, BitsDoNotDependOnChunks) {
  const Golden g = read_golden(GetParam());
  const std::vector<float> whole = run_model(g.path, g.ids, {.activations = {}, .device = device_});
  for (const uint32_t chunk : {1u, 7u}) {
    cuda_host::machine().seed = 100 + chunk;
    const std::vector<float> other = run_model(g.path, g.ids, {.chunk = chunk, .activations = {}, .device = device_});
    ASSERT_EQ(other.size(), whole.size());
    EXPECT_EQ(std::memcmp(other.data(), whole.data(), whole.size() * sizeof(float)), 0) << "chunk " << chunk;
  }
}

INSTANTIATE_TEST_SUITE_P(All, CudaFamilies,
                         testing::Values("llama", "llama3", "tinyllama", "mistral", "smollm2", "qwen2", "qwen3", "gemma3", "llama-q4_0",
                                         "llama-q4_1", "llama-q8_0", "gemma3-q4_0"),
                         [](const auto& each) {
                           std::string name = each.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

class CudaModels : public cuda::OnDevice {};

TEST_F(CudaModels, SelfTestPasses) {
  auto reference = cpu::open_cpu({.threads = 1, .isa = {}, .reference = true});
  ASSERT_TRUE(reference.ok());
  const Status verdict = self_test(*device_, **reference);
  EXPECT_TRUE(verdict.ok()) << verdict.message();
}

}  // namespace
}  // namespace kl
