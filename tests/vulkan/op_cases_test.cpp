// Every case of tests/ops/cases.txt on the Vulkan device, held to the same bounds as the CPU's kernels: with all that the driver has, and at the lower tiers
// where a case has other kernels there.
#include <set>

#include "ops/agreement.h"
#include "vulkan/driver.h"

namespace kl::ops {
namespace {

using vulkan::Tier;

struct TierCase {
  Tier tier;
  OpCase c;
};

bool rounds_to_bytes(const OpCase& c) {
  const std::string w = c.word("w", "f32");
  return c.word("act", "q8") == "q8" && w != "f32" && w != "f16" && w != "bf16";
}
bool linear(const OpCase& c) { return is_linear(c.op) || c.op == "norm_gate_up" || c.op == "norm_qkv_rope"; }
bool reduces(const OpCase& c) { return c.op == "attention" || c.op == "norm" || c.op == "norm_add"; }

// One tier after the other, so that every n-th test of the list takes from each.
std::vector<TierCase> tier_cases() {
  std::vector<TierCase> all;
  for (const OpCase& c : all_cases()) all.push_back({vulkan::kBest, c});
  for (const OpCase& c : all_cases()) {
    if (reduces(c) || (linear(c) && rounds_to_bytes(c))) all.push_back({vulkan::kPlain, c});
  }
  for (const OpCase& c : all_cases()) {
    if (reduces(c)) all.push_back({vulkan::kSubgroup, c});
  }
  return all;
}

class VulkanCase : public testing::TestWithParam<TierCase> {};

TEST_P(VulkanCase, AgreesWithTheReference) {
  const auto& [tier, c] = GetParam();
  KL_VULKAN_OR_SKIP(device, tier.without);
  if (!vulkan::capabilities_here().has(tier.needs)) GTEST_SKIP() << "the driver has no such tier";
  expect_agreement(*device, c);
}

INSTANTIATE_TEST_SUITE_P(Cases, VulkanCase, testing::ValuesIn(tier_cases()),
                         [](const auto& each) { return each.param.c.name() + "_" + each.param.tier.name; });

// One case of each op where the host cannot address device memory: weights, inputs and results go through staging buffers.
TEST(VulkanMemory, ADeviceWhoseMemoryTheHostCannotAddressComputesTheSame) {
  KL_VULKAN_OR_SKIP(device, 0, true);
  std::string last;
  for (const OpCase& c : all_cases()) {
    if (c.op == last) continue;
    last = c.op;
    expect_agreement(*device, c);
  }
}

// A row's sums do not depend on which kernel takes it: bucket of one row (row kernel, split attention) or of 64 (tiles, whole rows).
class VulkanBits : public testing::TestWithParam<Tier> {};

TEST_P(VulkanBits, TheKernelsForFewAndForManyRowsAgree) {
  KL_VULKAN_OR_SKIP(device, GetParam().without);
  for (const OpCase& c : all_cases()) {
    if (c.number("T", 1) > 4 || c.number("S", 0) > 300 || c.number("K", 0) > 600) continue;
    if (c.op != "linear" && c.op != "norm_gate_up" && c.op != "attention") continue;
    Built built = build(c);
    const auto many = run(*device, built);  // a case's bucket is 64 rows
    built.config.rows = built.config.outputs = 4;
    if (built.history > 0 || built.rows > 4) continue;
    const auto few = run(*device, built);
    ASSERT_TRUE(many.ok() && few.ok()) << c.text() << few.status().message();
    EXPECT_EQ(many->values, few->values) << c.text() << ": " << many->kernel << ", " << few->kernel;
  }
}

INSTANTIATE_TEST_SUITE_P(Tiers, VulkanBits, testing::Values(vulkan::kPlain, vulkan::kBest),
                         [](const auto& each) { return each.param.name; });

// The kernel for cooperative matrices: the driver's own, or emulated, which is what a device computes if its matrices are what the specification says. Within
// the bounds of every kernel, and to the bit what the dot product kernels compute, so that prompt and generated rows agree.
class Matrix : public testing::TestWithParam<std::array<uint32_t, 3>> {};

TEST_P(Matrix, ComputesToTheBitWhatDotProductsCompute) {
  KL_VULKAN_OR_SKIP(dot, vulkan::without_matrices());
  KL_VULKAN_OR_SKIP(matrix, 0, false, GetParam());
  if (!vulkan::capabilities_here().has(vulkan::feature::dot)) GTEST_SKIP() << "the driver has no dot products";
  const bool own = GetParam() == vulkan::kOwnMatrices;
  if (own && vulkan::without_matrices() == 0) GTEST_SKIP() << "the driver has no matrices";
  const bool first = own || GetParam() == std::array<uint32_t, 3>{8, 16, 32};
  uint32_t seen = 0;
  std::set<std::string> taken;
  for (const OpCase& c : all_cases()) {
    if (!linear(c) || !rounds_to_bytes(c) || c.number("K", 0) > 600 || c.number("N", 0) > 600) continue;
    // One shape takes each op and format once; for the others one format is enough: the shape decides where numbers lie, not which they are.
    if (first ? !taken.insert(c.op + c.word("w", "")).second : c.word("w", "") != "q4_1") continue;
    const Built built = build(c);
    const auto a = run(*dot, built), b = run(*matrix, built);
    ASSERT_TRUE(a.ok() && b.ok()) << c.text() << b.status().message();
    if (b->kernel.find(".matrix") == std::string::npos) continue;
    ++seen;
    EXPECT_NE(a->kernel, b->kernel);
    EXPECT_EQ(a->values, b->values) << c.text();
    if (first) expect_agreement(*matrix, c);
  }
  EXPECT_GT(seen, first ? 12U : 5U);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Matrix,
                         testing::Values(vulkan::kOwnMatrices, std::array<uint32_t, 3>{16, 16, 32}, std::array<uint32_t, 3>{16, 16, 16},
                                         std::array<uint32_t, 3>{8, 16, 32}, std::array<uint32_t, 3>{8, 8, 32},
                                         std::array<uint32_t, 3>{8, 8, 8}, std::array<uint32_t, 3>{32, 8, 16}),
                         [](const auto& each) {
                           if (each.param == vulkan::kOwnMatrices) return std::string("own");
                           return "m" + std::to_string(each.param[0]) + "n" + std::to_string(each.param[1]) + "k" +
                                  std::to_string(each.param[2]);
                         });

// Subgroups and narrow loads change how numbers travel, not which meet in which order.
TEST(VulkanTiers, OnesThatDoNotChangeTheActivationFormatAgreeToTheBit) {
  KL_VULKAN_OR_SKIP(plain, vulkan::kPlain.without);
  KL_VULKAN_OR_SKIP(subgroup, vulkan::kSubgroup.without);
  KL_VULKAN_OR_SKIP(best, vulkan::kBest.without);
  for (const OpCase& c : all_cases()) {
    if ((!reduces(c) && c.op != "norm_qkv_rope") || c.number("S", 0) > 300 || (linear(c) && rounds_to_bytes(c))) continue;
    const Built built = build(c);
    const auto a = run(*plain, built), b = run(*subgroup, built), d = run(*best, built);
    ASSERT_TRUE(a.ok() && b.ok() && d.ok()) << c.text();
    EXPECT_EQ(a->values, b->values) << c.text();
    EXPECT_EQ(a->values, d->values) << c.text();
  }
}

}  // namespace
}  // namespace kl::ops
