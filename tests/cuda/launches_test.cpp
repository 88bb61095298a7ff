// How many launches one decoder layer is in a decode step, read from the plan (a stage of a decode step is one launch): what stands between the memory's bandwidth and
// the tokens. Issue 6 aims at five or fewer.
#include "cuda/emulated_device.h"
#include "ir/builder.h"
#include "plan/plan.h"

namespace kl {
namespace {

// What layers of the families differ in, as far as launches go.
struct Layer {
  const char* family;
  bool biases = false, head_norms = false, sandwich = false;  // sandwich: a norm behind o and behind down, before the residual is added
  ActivationFormat activations = ActivationFormat::q8;
};

class CudaLaunches : public cuda::OnDevice, public testing::WithParamInterface<Layer> {};

// 4-bit weights, buckets of one row to eight.
TEST_P(CudaLaunches, OfADecodeLayerAreFive) {
  constexpr uint32_t kWidth = 256, kHeads = 4, kKvHeads = 2, kHeadSize = 64, kFfn = 512;
  const Layer& layer = GetParam();
  Builder b;
  b.program.kv_groups.push_back({kKvHeads, kHeadSize, 0, 1});
  const auto matrix = [&](uint32_t n, uint32_t k) { return b.weight({"w", Format::q4_0, n, k}); };
  const auto vector = [&](uint32_t n, bool there = true) { return there ? b.weight({"g", Format::f32, 1, n}) : WeightId{}; };
  RopeSpec rope;
  rope.dims = kHeadSize;
  const Value x = b.gather_rows(b.weight({"table", Format::f32, 8, kWidth}), 1.0f);
  const Value q = b.norm_qkv_rope({.x = x,
                                   .out = {},
                                   .gain = vector(kWidth),
                                   .eps = 1e-5f,
                                   .wq = matrix(kHeads * kHeadSize, kWidth),
                                   .wk = matrix(kKvHeads * kHeadSize, kWidth),
                                   .wv = matrix(kKvHeads * kHeadSize, kWidth),
                                   .bq = vector(kHeads * kHeadSize, layer.biases),
                                   .bk = vector(kKvHeads * kHeadSize, layer.biases),
                                   .bv = vector(kKvHeads * kHeadSize, layer.biases),
                                   .q_gain = vector(kHeadSize, layer.head_norms),
                                   .k_gain = vector(kHeadSize, layer.head_norms),
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
  const auto back = [&](Value v, uint32_t width, Value residual) {
    if (!layer.sandwich) return b.linear_residual(v, matrix(kWidth, width), residual);
    return b.linear_norm_add(v, matrix(kWidth, width), vector(kWidth), 1e-5f, residual);
  };
  const Value residual = back(mixed, kHeads * kHeadSize, x);
  const Value hidden = b.norm_gate_up(residual, vector(kWidth), 1e-5f, matrix(kFfn, kWidth), matrix(kFfn, kWidth), Activation::silu);
  b.program.logits = back(hidden, kFfn, residual);

  for (uint32_t rows = 1; rows <= 8; ++rows) {
    RunConfig config;
    config.activations = layer.activations;
    config.kv = KvFormat::q8;
    config.rows = config.outputs = rows;
    config.limits = {rows, rows, 1, 1, 64};
    config.kv_pages = {64};
    const auto plan = make_plan(b.program, *device_, config);
    ASSERT_TRUE(plan.ok()) << plan.status().message();
    ASSERT_EQ(plan->ops.size(), 6U) << "an op was taken apart\n" << to_text(*plan);
    size_t stages = 0;
    for (size_t i = 1; i < plan->ops.size(); ++i) stages += plan->ops[i].support.stages.size();
    EXPECT_EQ(stages, 5U) << to_text(*plan);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, CudaLaunches,
                         testing::Values(Layer{"llama"}, Layer{"qwen2", true}, Layer{"qwen3", false, true},
                                         Layer{"gemma3", false, true, true}, Layer{"llama_f32", false, false, false, ActivationFormat::f32},
                                         Layer{"gemma3_f32", false, true, true, ActivationFormat::f32}),
                         [](const auto& each) { return each.param.family; });

}  // namespace
}  // namespace kl
