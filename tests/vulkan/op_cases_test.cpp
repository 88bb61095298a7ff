// Every case of tests/ops/cases.txt on the Vulkan device, held to the same bounds as the CPU's kernels.
#include "ops/agreement.h"
#include "vulkan/driver.h"

namespace kl::ops {
namespace {

class VulkanCase : public testing::TestWithParam<OpCase> {};

TEST_P(VulkanCase, AgreesWithTheReference) {
  KL_VULKAN_OR_SKIP(device);
  expect_agreement(*device, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Cases, VulkanCase, testing::ValuesIn(all_cases()), [](const auto& each) { return each.param.name(); });

// One case of each op where the host cannot address device memory: weights, inputs and results go through staging buffers.
TEST(VulkanMemory, ADeviceWhoseMemoryTheHostCannotAddressComputesTheSame) {
  KL_VULKAN_OR_SKIP(device, true);
  std::string last;
  for (const OpCase& c : all_cases()) {
    if (c.op == last) continue;
    last = c.op;
    expect_agreement(*device, c);
  }
}

// A row's sums do not depend on which kernel takes it: bucket of one row (row kernel, split attention) or of 64 (tiles, whole rows).
TEST(VulkanBits, TheKernelsForFewAndForManyRowsAgreeToTheBit) {
  KL_VULKAN_OR_SKIP(device);
  for (const OpCase& c : all_cases()) {
    if (c.number("T", 1) > 4 || c.number("S", 0) > 300 || c.number("K", 0) > 600) continue;
    if (c.op != "linear" && c.op != "norm_gate_up" && c.op != "attention") continue;
    Built built = build(c);
    const auto many = run(*device, built);  // a case's bucket is 64 rows
    built.config.rows = built.config.outputs = 4;
    if (built.history > 0 || built.rows > 4) continue;
    const auto few = run(*device, built);
    ASSERT_TRUE(many.ok() && few.ok()) << c.text() << few.status().message();
    EXPECT_EQ(many->values, few->values) << c.text();
  }
}

}  // namespace
}  // namespace kl::ops
