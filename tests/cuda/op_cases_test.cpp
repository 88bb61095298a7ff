// Every case of tests/ops/cases.txt on the CUDA backend, its kernels emulated, held to the same bounds as the CPU's. What the backend refuses is reported as
// refused (skipped, with the reason), never as passed.
#include <set>

#include "cuda/emulated_device.h"
#include "ops/agreement.h"
#include "plan/plan.h"

namespace kl::ops {
namespace {

// Ops that may not be refused, in any case of the list.
const std::set<std::string> kComplete = {
    "linear", "norm_linear", "linear_residual", "norm_gate_up", "select_norm_head", "norm",      "norm_add",        "activate",
    "add",    "rope",        "gather_rows",     "select_rows",  "kv_write",         "attention", "dense_attention", "norm_qkv_rope"};

class CudaCase : public cuda::OnDevice, public testing::WithParamInterface<OpCase> {};

TEST_P(CudaCase, AgreesWithTheReference) {
  const OpCase& c = GetParam();
  const Built built = build(c);
  const auto plan = make_plan(built.program, *device_, built.config);
  if (!plan.ok() && plan.status().code() == Code::unsupported) {
    EXPECT_FALSE(kComplete.contains(c.op) && c.number("pool", 1) == 1) << plan.status().message();
    GTEST_SKIP() << "refused: " << plan.status().message();
  }
  expect_agreement(*device_, c);
  // The bucket of a decode step, where other kernels may be chosen.
  if (const uint32_t rows = c.number("T", 1); rows <= 8 && c.op != "attention" && c.number("pool", 1) == 1)
    expect_agreement(*device_, c, rows);
}

INSTANTIATE_TEST_SUITE_P(Cases, CudaCase, testing::ValuesIn(all_cases()), [](const auto& each) { return each.param.name(); });

class CudaBits : public cuda::OnDevice {};

// A row's sums depend on neither the bucket, nor the rows beside it, nor the order in which threads, blocks and free launches run.
TEST_F(CudaBits, AreTheSameForFewAndManyRowsAndInAnyOrder) {
  size_t compared = 0;
  for (const OpCase& c : all_cases()) {
    if (c.number("T", 1) > 8 || c.number("K", 0) > 600 || (c.op != "linear" && c.op != "norm_gate_up" && c.op != "norm")) continue;
    if (c.number("pool", 1) != 1 || c.word("bias", "no") == "yes") continue;
    Built built = build(c);
    cuda_host::machine().seed = 1;
    const auto many = run(*device_, built);
    built.config.rows = built.config.outputs = built.rows;
    cuda_host::machine().seed = 77;
    const auto few = run(*device_, built);
    ASSERT_TRUE(many.ok() && few.ok()) << c.text() << few.status().message();
    EXPECT_EQ(many->values, few->values) << c.text();
    ++compared;
  }
  EXPECT_GT(compared, 20U);
}

// Attention by spans side by side (a bucket of few rows) and by one block after the other: the same bits, whatever rows share a step and in whatever order things run.
TEST_F(CudaBits, OfAttentionAreTheSameSplitAndWalked) {
  size_t compared = 0;
  for (const OpCase& c : all_cases()) {
    const uint32_t rows = c.number("T", 1), seen = c.number("S", 1);
    if (c.op != "attention" || rows > 8 || (seen == 600 && rows == 5) || seen == 33) continue;
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
  EXPECT_GT(compared, 30U);
}

}  // namespace
}  // namespace kl::ops
