// Every case of tests/ops/cases.txt on the CUDA backend, its kernels emulated, held to the same bounds as the CPU's. What the backend refuses is reported as
// refused (skipped, with the reason), never as passed.
#include <gmock/gmock.h>

#include <limits>
#include <set>

#include "cuda/emulated_device.h"
#include "ops/agreement.h"
#include "plan/plan.h"

namespace kl::ops {
namespace {

// Ops that may not be refused, in any case of the list.
const std::set<std::string> kComplete = {"linear",
                                         "norm_linear",
                                         "linear_residual",
                                         "linear_norm_add",
                                         "norm_gate_up",
                                         "select_norm_head",
                                         "norm",
                                         "norm_add",
                                         "activate",
                                         "add",
                                         "rope",
                                         "gather_rows",
                                         "select_rows",
                                         "kv_write",
                                         "attention",
                                         "dense_attention",
                                         "norm_qkv_rope",
                                         "sample",
                                         "pool",
                                         "patchify"};

class CudaCase : public cuda::OnDevice, public testing::WithParamInterface<OpCase> {};

TEST_P(CudaCase, AgreesWithTheReference) {
  const OpCase& c = GetParam();
  const Built built = build(c);
  const auto plan = make_plan(built.program, *device_, built.config);
  if (!plan.ok() && plan.status().code() == Code::unsupported) {
    EXPECT_FALSE(kComplete.contains(c.op)) << plan.status().message();
    GTEST_SKIP() << "refused: " << plan.status().message();
  }
  expect_agreement(*device_, c);
  // The bucket of a decode step, where other kernels may be chosen.
  if (const uint32_t rows = c.number("T", 1); rows <= 8 && c.op != "attention" && c.number("pool", 1) == 1)
    expect_agreement(*device_, c, rows);
}

INSTANTIATE_TEST_SUITE_P(Cases, CudaCase, testing::ValuesIn(all_cases()), [](const auto& each) { return each.param.name(); });

class CudaBits : public cuda::OnDevice {};

// A row's sums depend on neither the bucket (a row, some or many rows: other kernels), nor the rows beside it, nor the order in which threads, blocks and free
// launches run.
TEST_F(CudaBits, AreTheSameForFewAndManyRowsAndInAnyOrder) {
  size_t compared = 0;
  std::set<std::string> kernels;
  for (const OpCase& c : all_cases()) {
    if (c.number("T", 1) > 8 || c.number("K", 0) > 600 || (c.op != "linear" && c.op != "norm_gate_up" && c.op != "norm")) continue;
    if (c.number("pool", 1) != 1 || c.word("bias", "no") == "yes") continue;
    Built built = build(c);
    cuda_host::machine().seed = 1;
    const auto some = run(*device_, built);
    ASSERT_TRUE(some.ok()) << c.text() << some.status().message();
    kernels.insert(some->kernel);
    for (const uint32_t bucket : {built.rows, 600u}) {
      built.config.rows = built.config.outputs = bucket;
      cuda_host::machine().seed = 77;
      const auto other = run(*device_, built);
      ASSERT_TRUE(other.ok()) << c.text() << other.status().message();
      EXPECT_EQ(some->values, other->values) << c.text() << " " << other->kernel;
      kernels.insert(other->kernel);
    }
    ++compared;
  }
  EXPECT_GT(compared, 20U);
  for (const char* op : {"linear", "norm_gate_up"}) {
    for (const char* path : {".row", ".eight", ".few", ".many"}) EXPECT_TRUE(kernels.contains(std::string(op) + path)) << op << path;
  }
}

// Rows of special numbers: the lowest of equal ids is taken, zeros are equal, a row with what is not finite gives -1; more logits than one block goes through.
TEST_F(CudaBits, SampleTakesTheLowestIdOfTheHighestNumber) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();
  constexpr float kMost = std::numeric_limits<float>::max();
  for (const char* width : {"20000", "20001", "3"}) {
    auto c = OpCase{.op = "sample", .keys = {{"T", "6"}, {"K", width}}};
    Built built = build(c);
    const uint32_t v = c.number("K", 0);
    std::vector<std::byte>& bytes = built.weights.at(0);
    const std::span<float> table(reinterpret_cast<float*>(bytes.data()), bytes.size() / sizeof(float));
    const auto row = [&](uint32_t r) { return table.subspan(size_t{7} * r * v, v); };  // row r has token 7 r (op_case.cpp)
    for (uint32_t r = 0; r < 6; ++r) std::fill(row(r).begin(), row(r).end(), -2.0f);
    row(0)[v - 1] = row(0)[v / 2] = kMost;
    row(1)[1] = -0.0f;
    row(1)[2] = 0.0f;
    row(2)[v / 2] = -kInf;
    row(3)[v - 1] = 1.0f;
    row(4)[v - 1] = -kNaN;
    row(5)[0] = kInf;
    built.output_rows = {0, 1, 2, 3, 4, 5};
    const auto got = run(*device_, built);
    ASSERT_TRUE(got.ok()) << got.status().message();
    const std::vector<float> wanted = {static_cast<float>(v / 2), 1, -1, static_cast<float>(v - 1), -1, -1};
    EXPECT_EQ(got->values, wanted) << width;
  }
}

// Which kernel a step of so many rows gets, and what the report says of the others.
TEST_F(CudaBits, PathsSayWhyTheyRefuse) {
  const auto planned = [&](const char* act, uint32_t rows) {
    Built built = build({.op = "linear", .keys = {{"T", "1"}, {"K", "256"}, {"N", "40"}, {"w", "q4_0"}, {"act", act}}});
    built.config.rows = built.config.outputs = rows;
    const auto plan = make_plan(built.program, *device_, built.config);
    return plan.ok() ? support_text(*plan) : plan.status().message();
  };
  using testing::HasSubstr;
  EXPECT_THAT(planned("q8", 2), HasSubstr("linear.row"));
  EXPECT_THAT(planned("q8", 2), HasSubstr("2 rows, fewer than 3"));
  EXPECT_THAT(planned("q8", 3), HasSubstr("linear.eight"));
  EXPECT_THAT(planned("q8", 8), HasSubstr("8 rows, fewer than 9"));
  EXPECT_THAT(planned("q8", 9), HasSubstr("linear.few"));
  EXPECT_THAT(planned("q8", 128), HasSubstr("linear.many"));
  EXPECT_THAT(planned("f16", 1), HasSubstr("linear.few"));  // never the row kernel: its order of sums is another
  EXPECT_THAT(planned("f32", 8), HasSubstr("inputs are f32"));
  EXPECT_THAT(planned("f32", 64), HasSubstr("linear.many"));
  cuda_host::machine().gpus.at(0).minor = 5;
  cuda_host::machine().gpus.at(0).major = 7;
  cuda::device_under_test().lose();
  device_ = cuda::device_under_test().get();
  ASSERT_NE(device_, nullptr);
  EXPECT_THAT(planned("q8", 128), HasSubstr("linear.row"));
  EXPECT_THAT(planned("q8", 128), HasSubstr("sm_75: mma.sync m16n8k32 needs sm_80"));
  EXPECT_THAT(planned("f16", 128), HasSubstr("linear.row"));
  cuda_host::machine().gpus.at(0) = {};
  cuda::device_under_test().lose();
}

// Attention by spans side by side (a bucket of few rows) and by one block after the other: the same bits, whatever rows share a step and in whatever order things run.
class CudaAttentionBits : public CudaBits, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Kv, CudaAttentionBits, testing::Values("f32", "f16", "q8", "q4"),
                         [](const auto& each) { return std::string(each.param); });

TEST_P(CudaAttentionBits, AreTheSameSplitAndWalked) {
  size_t compared = 0;
  for (const OpCase& c : all_cases()) {
    const uint32_t rows = c.number("T", 1), seen = c.number("S", 1);
    if (c.op != "attention" || c.word("kv", "f16") != GetParam() || rows > 8 || (seen == 600 && rows == 5) || seen == 33) continue;
    Built built = build(c);
    cuda_host::machine().seed = 3;
    const auto walked = run(*device_, built);
    built.config.rows = built.config.outputs = 8;  // history too goes in by eights
    cuda_host::machine().seed = 91;
    const auto split = run(*device_, built);
    ASSERT_TRUE(walked.ok() && split.ok()) << c.text() << walked.status().message() << split.status().message();
    EXPECT_EQ(walked->values, split->values) << c.text();
    ++compared;
  }
  EXPECT_GT(compared, 6U);
}

}  // namespace
}  // namespace kl::ops
