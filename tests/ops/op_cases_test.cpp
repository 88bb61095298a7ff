// Every case of cases.txt on every instruction set of this machine against the reference device.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "ops/agreement.h"

namespace kl::ops {
namespace {

// Every n-th case where KL_TEST_SAMPLE says n: under emulation a test of all cases would take minutes.
std::vector<OpCase> sampled_cases() {
  const char* given = std::getenv("KL_TEST_SAMPLE");
  const size_t step = given != nullptr ? std::max(1, std::atoi(given)) : 1;
  const std::vector<OpCase> cases = all_cases();
  std::vector<OpCase> sample;
  for (size_t i = 0; i < cases.size(); i += step) sample.push_back(cases[i]);
  return sample;
}

using cpu::Isa;

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
  for (const OpCase& c : sampled_cases()) {
    const Built built = build(c);
    const auto a = run(**one, built), b = run(**three, built);
    ASSERT_TRUE(a.ok() && b.ok());
    EXPECT_EQ(a->values, b->values) << c.text();
  }
}

// Thousands of rows go through other launches than few do (blocks of rows, widened weights): the same bits all the same.
TEST(OpCases, ARowHasTheSameBitsInAStepOfAnyLength) {
  for (const Isa isa : isas_here()) {
    auto device = cpu::open_cpu({.threads = 2, .isa = isa, .reference = false});
    ASSERT_TRUE(device.ok());
    for (const char* w : {"f32", "f16", "bf16", "q8_0"}) {
      for (const char* op : {"linear", "linear_residual", "norm_linear", "norm_gate_up"}) {
        const OpCase c{op, {{"T", "700"}, {"K", "64"}, {"N", "64"}, {"w", w}, {"act", "f32"}, {"activation", "gelu_tanh"}}};
        const Built many = build(c);
        const auto whole = run(**device, many);
        ASSERT_TRUE(whole.ok()) << whole.status().message();
        for (const uint32_t rows : {1u, 7u, 100u}) {
          Built few = many;
          few.rows = rows;
          const auto part = run(**device, few);
          ASSERT_TRUE(part.ok());
          EXPECT_TRUE(std::equal(part->values.begin(), part->values.end(), whole->values.begin())) << c.text() << " " << rows << " rows";
        }
      }
    }
  }
}

}  // namespace
}  // namespace kl::ops
