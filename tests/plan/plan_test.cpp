// Planning: memory, barriers, segments, and the definitions of fused ops.
#include "plan/plan.h"

#include <gtest/gtest.h>

#include "cpu/device.h"
#include "ir/builder.h"
#include "ir/fused.h"
#include "plan/buckets.h"

namespace kl {
namespace {

// Two small layers; weights in q4_0.
Program two_layers() {
  Builder b;
  b.program.kv_groups.push_back({2, 32, 0, 2});
  const auto matrix = [&](uint32_t n, uint32_t k) { return b.weight({"m", Format::q4_0, n, k}); };
  const auto gain = [&](uint32_t k) { return b.weight({"g", Format::f32, 1, k}); };
  Value x = b.gather_rows(matrix(320, 128), 1.0f);
  for (uint32_t l = 0; l < 2; ++l) {
    b.cut();
    RopeSpec rope;
    rope.dims = 32;
    const Value q = b.norm_qkv_rope({.x = x,
                                     .out = {},
                                     .gain = gain(128),
                                     .eps = 1e-5f,
                                     .wq = matrix(128, 128),
                                     .wk = matrix(64, 128),
                                     .wv = matrix(64, 128),
                                     .bq = {},
                                     .bk = {},
                                     .bv = {},
                                     .q_gain = gain(32),
                                     .k_gain = gain(32),
                                     .heads = 4,
                                     .kv_heads = 2,
                                     .head_size = 32,
                                     .rope = rope,
                                     .cache = {0, l}});
    const Value mixed = b.attention(
        {.q = q, .out = {}, .cache = {0, l}, .heads = 4, .kv_heads = 2, .head_size = 32, .scale = 1, .window = 0, .cap = 0, .sinks = {}});
    x = b.linear_residual(mixed, matrix(128, 128), x);
    x = b.linear_residual(b.norm_gate_up(x, gain(128), 1e-5f, matrix(192, 128), matrix(192, 128), Activation::silu), matrix(128, 192), x);
  }
  b.cut();
  b.program.logits = b.select_norm_head(x, gain(128), 1e-5f, matrix(320, 128));
  return std::move(b.program);
}

// An encoder's shape: patches, one layer over windows, four rows become one, a projection of those.
Program small_encoder() {
  Builder b;
  b.program.pool = 4;
  const auto matrix = [&](uint32_t n, uint32_t k) { return b.weight({"m", Format::f16, n, k}); };
  const auto vector = [&](uint32_t k) { return b.weight({"v", Format::f32, 1, k}); };
  Value x = b.linear(b.patchify({.out = {}, .size = 4, .mean = {}, .deviation = {1, 1, 1}}), matrix(64, 48));
  x = b.add(x, b.gather_rows(matrix(100, 64), 1.0f, RowIndex::position0));
  b.cut();
  const Value n = b.norm(x, vector(64), 1e-6f, 1, NormKind::layer, vector(64));
  const Value q = b.linear(n, matrix(64, 64)), k = b.linear(n, matrix(64, 64)), v = b.linear(n, matrix(64, 64));
  x = b.linear_residual(b.dense_attention({.q = q, .k = k, .v = v, .out = {}, .heads = 2, .head_size = 32, .scale = 1, .segmentation = 1}),
                        matrix(64, 64), x);
  b.cut();
  x = b.pool(x, PoolKind::concatenate);
  const Value hidden = b.activate(b.norm_linear(x, vector(256), 1e-6f, matrix(96, 256)), {}, Activation::gelu_erf);
  b.program.features = b.linear(hidden, matrix(72, 96));
  return std::move(b.program);
}

RunConfig config() {
  RunConfig c;
  c.rows = 40;
  c.outputs = 4;
  c.limits = {40, 4, 2, 1, 4, 2};
  c.kv_pages = {8};
  return c;
}

Plan plan_on(bool reference, const Program& program = two_layers()) {
  auto device = cpu::open_cpu({.threads = 1, .isa = {}, .reference = reference});
  auto plan = make_plan(program, **device, config());
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  return std::move(*plan);
}

struct Which {
  bool reference = false, encoder = false;
};
class OnBothDevices : public testing::TestWithParam<Which> {
 protected:
  static Plan plan() { return plan_on(GetParam().reference, GetParam().encoder ? small_encoder() : two_layers()); }
};

TEST_P(OnBothDevices, ValuesAliveTogetherDoNotShareMemory) {
  const Plan plan = OnBothDevices::plan();
  struct Life {
    uint64_t begin, end;
    size_t first, last;
  };
  std::vector<Life> lives;
  for (uint32_t v = 0; v < plan.program.values.size(); ++v) {
    if (plan.value_offset[v] == Plan::kNoOffset) continue;
    Life life{plan.value_offset[v], plan.value_offset[v] + plan.value_bytes({v}), ~size_t{0}, 0};
    for (size_t at = 0; at < plan.ops.size(); ++at) {
      for (const auto& list : {inputs(plan.ops[at].op), outputs(plan.ops[at].op)}) {
        for (const Value each : list) {
          if (each.id != v) continue;
          life.first = std::min(life.first, at);
          life.last = std::max(life.last, at);
        }
      }
    }
    if (plan.program.logits.id == v || plan.program.features.id == v) life.last = plan.ops.size();
    lives.push_back(life);
  }
  for (size_t at = 0; at < plan.ops.size(); ++at) {
    if (plan.ops[at].support.scratch_bytes > 0) {
      lives.push_back({plan.ops[at].scratch_offset, plan.ops[at].scratch_offset + plan.ops[at].support.scratch_bytes, at, at});
    }
  }
  ASSERT_GT(lives.size(), 10u);
  for (size_t i = 0; i < lives.size(); ++i) {
    EXPECT_LE(lives[i].end, plan.arena_bytes);
    for (size_t j = 0; j < i; ++j) {
      const bool together = lives[i].first <= lives[j].last && lives[j].first <= lives[i].last;
      const bool overlap = lives[i].begin < lives[j].end && lives[j].begin < lives[i].end;
      EXPECT_FALSE(together && overlap) << i << " and " << j;
    }
  }
}

TEST_P(OnBothDevices, EveryReaderWaitsForItsWriter) {
  const Plan plan = OnBothDevices::plan();
  for (size_t at = 1; at < plan.ops.size(); ++at) {
    for (const Value in : inputs(plan.ops[at].op)) {
      size_t writer = at;
      while (writer > 0 && (outputs(plan.ops[writer - 1].op).empty() || !(outputs(plan.ops[writer - 1].op).front() == in))) --writer;
      bool ordered = false;
      for (size_t k = writer; k <= at; ++k) ordered = ordered || plan.ops[k].barrier || (k < at && plan.ops[k].support.stages.size() > 1);
      EXPECT_TRUE(writer == 0 || ordered) << to_text(plan.program, plan.ops[at].op);
    }
  }
}

TEST_P(OnBothDevices, SegmentsCoverTheOpsInOrderAndEndAtLayers) {
  const Plan plan = OnBothDevices::plan();
  ASSERT_EQ(plan.segments.size(), GetParam().encoder ? 3u : 4u);  // embedding, layers, head
  uint32_t next = 0;
  for (const Segment& s : plan.segments) {
    EXPECT_EQ(s.first, next);
    EXPECT_LT(s.first, s.last);
    next = s.last;
  }
  EXPECT_EQ(next, plan.ops.size());
}

INSTANTIATE_TEST_SUITE_P(Devices, OnBothDevices,
                         testing::Values(Which{false, false}, Which{true, false}, Which{false, true}, Which{true, true}),
                         [](const auto& each) {
                           return std::string(each.param.encoder ? "encoder_" : "decoder_") + (each.param.reference ? "reference" : "cpu");
                         });

TEST(Plan, PooledValuesAndTheirScratchHoldAQuarterOfTheRows) {
  const Plan plan = plan_on(false, small_encoder());
  for (const PlannedOp& op : plan.ops) {
    if (const auto* o = std::get_if<Pool>(&op.op)) {
      EXPECT_EQ(plan.value_bytes(o->out), 10u * 256 * 4);  // of 40 rows, four side by side
      EXPECT_EQ(plan.value_bytes(o->x), 40u * 64 * 4);
    }
    if (std::holds_alternative<NormLinear>(op.op)) {
      EXPECT_EQ(op.support.scratch_bytes, 10u * 256 * 4);
    }
  }
}

TEST(Plan, CostsCountPooledRowsAndPairsOfARange) {
  const Program p = small_encoder();
  const uint64_t pairs = 40 * 20;  // 40 rows, two windows of 20
  for (const Op& op : p.ops) {
    const OpCost c = cost(p, op, 40, 0, pairs);
    if (std::holds_alternative<DenseAttention>(op)) {
      EXPECT_EQ(c.macs, 2 * pairs * 64);
    }
    if (std::holds_alternative<NormLinear>(op)) {
      EXPECT_EQ(c.macs, 10u * 96 * 256);
    }
  }
}

TEST(Plan, ASegmentationTheStepDoesNotHaveIsRefused) {
  Program program = small_encoder();
  for (Op& op : program.ops) {
    if (auto* a = std::get_if<DenseAttention>(&op)) a->segmentation = 2;
  }
  for (const bool reference : {false, true}) {
    auto device = cpu::open_cpu({.threads = 1, .isa = {}, .reference = reference});
    EXPECT_EQ(make_plan(program, **device, config()).status().code(), Code::unsupported);
  }
}

TEST(Plan, TheReferenceRunsNoFusedOp) {
  for (const PlannedOp& op : plan_on(true).ops) {
    Program scratch = two_layers();
    EXPECT_FALSE(expand(scratch, op.op).has_value()) << name(op.op);
  }
}

TEST(Plan, ARefusalNamesTheOpAndEveryKernelsReason) {
  Program program = two_layers();
  for (Op& op : program.ops) {
    if (auto* a = std::get_if<Attention>(&op)) a->head_size = 31;
  }
  auto device = cpu::open_cpu({.threads = 1, .isa = {}, .reference = false});
  const auto plan = make_plan(program, **device, config());
  ASSERT_FALSE(plan.ok());
  EXPECT_NE(plan.status().message().find("attention"), std::string::npos) << plan.status().message();
}

TEST(Plan, TheDumpNamesKernelsActivationsAndStages) {
  const Plan plan = plan_on(false);
  const std::string text = to_text(plan);
  for (const char* part :
       {"kernel norm_qkv_rope.q8.", "activations q8", "norm+quantize | qkv | heads+rope+cache", "launches", "segment 3"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  EXPECT_NE(support_text(plan).find("2 x norm_gate_up"), std::string::npos) << support_text(plan);
}

TEST(Buckets, EveryRowCountHasTheSmallestBucketThatHoldsIt) {
  const std::vector<uint32_t> buckets = row_buckets(512);
  EXPECT_EQ(buckets, (std::vector<uint32_t>{1, 4, 8, 16, 32, 64, 128, 256, 512}));
  for (uint32_t rows = 1; rows <= 512; ++rows) {
    const size_t at = bucket_of(buckets, rows);
    EXPECT_GE(buckets[at], rows);
    EXPECT_TRUE(at == 0 || buckets[at - 1] < rows);
  }
  EXPECT_EQ(row_buckets(1), (std::vector<uint32_t>{1}));
}

}  // namespace
}  // namespace kl
