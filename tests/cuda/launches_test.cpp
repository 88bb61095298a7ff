// How many stages one decoder layer is in a decode step, read from the plan: what stands between the memory's bandwidth and the tokens. Issue 6 aims at five.
#include "cuda/emulated_device.h"
#include "ir/builder.h"
#include "plan/plan.h"

namespace kl {
namespace {

class CudaLaunches : public cuda::OnDevice {};

// A Llama layer of 4-bit weights, one row.
TEST_F(CudaLaunches, OfADecodeLayerAreElevenStages) {
  constexpr uint32_t kWidth = 256, kHeads = 4, kKvHeads = 2, kHeadSize = 64, kFfn = 512;
  Builder b;
  b.program.kv_groups.push_back({kKvHeads, kHeadSize, 0, 1});
  const auto matrix = [&](uint32_t n, uint32_t k) { return b.weight({"w", Format::q4_0, n, k}); };
  const auto gain = [&] { return b.weight({"g", Format::f32, 1, kWidth}); };
  RopeSpec rope;
  rope.dims = kHeadSize;
  const Value x = b.gather_rows(b.weight({"table", Format::f32, 8, kWidth}), 1.0f);
  const Value q = b.norm_qkv_rope({.x = x,
                                   .out = {},
                                   .gain = gain(),
                                   .eps = 1e-5f,
                                   .wq = matrix(kHeads * kHeadSize, kWidth),
                                   .wk = matrix(kKvHeads * kHeadSize, kWidth),
                                   .wv = matrix(kKvHeads * kHeadSize, kWidth),
                                   .bq = {},
                                   .bk = {},
                                   .bv = {},
                                   .q_gain = {},
                                   .k_gain = {},
                                   .heads = kHeads,
                                   .kv_heads = kKvHeads,
                                   .head_size = kHeadSize,
                                   .rope = rope,
                                   .cache = {0, 0}});
  const Value mixed = b.attention({.q = q,
                                   .out = {},
                                   .cache = {0, 0},
                                   .heads = kHeads,
                                   .kv_heads = kKvHeads,
                                   .head_size = kHeadSize,
                                   .scale = 0.125f,
                                   .window = 0,
                                   .cap = 0,
                                   .sinks = {}});
  const Value residual = b.linear_residual(mixed, matrix(kWidth, kHeads * kHeadSize), x);
  const Value hidden = b.norm_gate_up(residual, gain(), 1e-5f, matrix(kFfn, kWidth), matrix(kFfn, kWidth), Activation::silu);
  b.program.logits = b.linear_residual(hidden, matrix(kWidth, kFfn), residual);

  RunConfig config;
  config.activations = ActivationFormat::q8;
  config.kv = KvFormat::q8;
  config.rows = config.outputs = 1;
  config.limits = {1, 1, 1, 1, 64};
  config.kv_pages = {64};
  const auto plan = make_plan(b.program, *device_, config);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  ASSERT_EQ(plan->ops.size(), 6U) << "an op was taken apart\n" << to_text(*plan);
  size_t stages = 0;
  for (size_t i = 1; i < plan->ops.size(); ++i) stages += plan->ops[i].support.stages.size();
  EXPECT_EQ(stages, 11U) << to_text(*plan);
}

}  // namespace
}  // namespace kl
