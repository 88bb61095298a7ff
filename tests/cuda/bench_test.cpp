// The measuring code of tests/gpu_bench on the emulated card: that it measures what it says, not how fast.
#include <gmock/gmock.h>

#include "cuda/emulated_device.h"
#include "cuda/pack.h"
#include "gpu_bench/model.h"
#include "gpu_bench/probe.h"
#include "ir/builder.h"

namespace kl::gpu_bench {
namespace {

class CudaBench : public cuda::OnDevice {};

TEST_F(CudaBench, ProbesReadAllThatWasWritten) {
  const uint64_t launches = cuda_host::machine().launches;
  const auto costs = probe_card(cuda_host::driver(), 0, {.read_bytes = (uint64_t{1} << 20) + 48, .nodes = 20, .repeats = 2});
  ASSERT_TRUE(costs.ok()) << costs.status().message();
  EXPECT_NE(costs->read_check, 0U);
  EXPECT_GT(costs->read_bytes_per_second, 0);
  EXPECT_GT(costs->graph_seconds, 0);
  EXPECT_EQ(cuda_host::machine().launches - launches, 3 * (1 + 1 + 20 + 20U));
}

// A step of what has kernels, whatever attention has.
TEST_F(CudaBench, StepsOfAProgramRunAtAnyBatchAndDepth) {
  Builder p;
  constexpr uint32_t kWidth = 64, kFfn = 96, kVocabulary = 200;
  const auto weight = [&](const char* name, Format f, uint32_t n, uint32_t k) { return p.weight({name, f, n, k}); };
  const WeightId embedding = weight("embedding", Format::q8_0, kVocabulary, kWidth), gain = weight("gain", Format::f32, 1, kWidth);
  const Value x = p.gather_rows(embedding, 1.0f, RowIndex::token, false);
  const Value y = p.norm_gate_up(x, gain, 1e-5f, weight("gate", Format::q4_0, kFfn, kWidth), weight("up", Format::q4_0, kFfn, kWidth),
                                 Activation::silu);
  const Value z = p.linear_residual(y, weight("down", Format::q4_0, kWidth, kFfn), x);
  p.program.logits = p.select_norm_head(z, gain, 1e-5f, embedding);
  p.program.kv_groups.push_back({1, 32, 0, 2});
  const Setting setting{.depth = 40, .batch = 3, .prompt = 100, .step_rows = 70};
  auto runner = make_runner(*device_, std::move(p.program), setting);
  ASSERT_TRUE(runner.ok()) << runner.status().message();
  ModelResult result;
  const Status status = measure(**runner, setting, 1, result);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_EQ(result.decode.size(), 4U);
  EXPECT_EQ(result.decode[3].batch, 3U);
  EXPECT_EQ(result.decode[3].depth, 40U);
  ASSERT_EQ(result.prefill.size(), 1U);
  EXPECT_NEAR(result.prefill[0].tokens_per_second * result.prefill[0].seconds, 100, 1e-6);
  for (const Rate& r : result.decode) EXPECT_GT(r.tokens_per_second, 0);
  EXPECT_EQ(result.weight_bytes, 2 * cuda::matrix_bytes(Format::q4_0, kFfn, kWidth) + cuda::matrix_bytes(Format::q4_0, kWidth, kFfn) +
                                     cuda::matrix_bytes(Format::q8_0, kVocabulary, kWidth) + kWidth * 4);
  EXPECT_EQ(result.launches, 5U);  // gather, gate and up, down; the head is two
}

TEST_F(CudaBench, ADecoderRuns) {
  constexpr Shape kTiny = {"tiny", "qwen3", 2, 256, 512, 4, 2, 64, 300, true};
  const ModelResult r = measure(*device_, kTiny, {.depth = 64, .batch = 2, .prompt = 32, .step_rows = 32}, 1);
  ASSERT_TRUE(r.not_run.empty()) << r.not_run;
  EXPECT_EQ(r.decode.size(), 4U);
  EXPECT_EQ(r.prefill.size(), 1U);
}

}  // namespace
}  // namespace kl::gpu_bench
