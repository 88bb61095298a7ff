// Every case of cases.txt on every instruction set of this machine against the reference device.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "ops/agreement.h"

namespace kl::ops {
namespace {

// What this processor can run; ARM's run under emulation in --ci.
std::vector<cpu::Isa> isas_here() {
  std::vector<cpu::Isa> isas;
  std::copy_if(std::begin(cpu::kIsas), std::end(cpu::kIsas), std::back_inserter(isas), cpu::isa_available);
  return isas;
}

class EveryCase : public testing::TestWithParam<std::tuple<OpCase, cpu::Isa>> {};

TEST_P(EveryCase, AgreesWithTheReference) {
  const auto& [c, isa] = GetParam();
  auto device = cpu::open_cpu({.threads = 2, .isa = isa, .reference = false});
  ASSERT_TRUE(device.ok());
  expect_agreement(**device, c);
}

INSTANTIATE_TEST_SUITE_P(Cases, EveryCase, testing::Combine(testing::ValuesIn(all_cases()), testing::ValuesIn(isas_here())),
                         [](const auto& each) { return std::get<0>(each.param).name() + "_" + cpu::name(std::get<1>(each.param)); });

TEST(OpCases, EveryOpOfTheSetHasACase) {
  const std::vector<OpCase> cases = all_cases();
  for (size_t index = 0; index < std::variant_size_v<Op>; ++index) {
    const std::string op = op_name(index);
    if (op == "kv_write") continue;  // runs in every attention case
    EXPECT_TRUE(std::any_of(cases.begin(), cases.end(), [&](const OpCase& c) { return c.op == op; })) << op;
  }
}

TEST(OpCases, ThreadsDoNotChangeABit) {
  auto one = cpu::open_cpu({.threads = 1, .isa = {}, .reference = false});
  auto three = cpu::open_cpu({.threads = 3, .isa = {}, .reference = false});
  ASSERT_TRUE(one.ok() && three.ok());
  for (const OpCase& c : all_cases()) {
    const Built built = build(c);
    const auto a = run(**one, built), b = run(**three, built);
    ASSERT_TRUE(a.ok() && b.ok());
    EXPECT_EQ(a->values, b->values) << c.text();
  }
}

}  // namespace
}  // namespace kl::ops
