// What a device's result of an op case is held to: the reference device (scalar, double accumulation), run with the same activation and cache formats, so that
// the bound is the arithmetic's own. One list of cases and one table of bounds for every backend.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cpu/device.h"
#include "ops/op_case.h"
#include "support/test_data.h"

namespace kl::ops {

inline std::vector<OpCase> all_cases() {
  auto cases = read_cases(test_data() + "/ops/cases.txt");
  EXPECT_TRUE(cases.ok()) << cases.status().message();
  return cases.ok() ? *cases : std::vector<OpCase>();
}

inline bool is_linear(const std::string& op) {
  return op == "linear" || op == "norm_linear" || op == "linear_residual" || op == "select_norm_head";
}

// What an element may differ by.
//   linear ops with float32 inputs   (K + 8) eps sum|w||x|
//   linear ops with q8 inputs        as above; where a norm comes first its last bit may move one input of a group by one code: sum|w||x| / 127 x 2,
//                                    held down by the mean-square bound below
//   f16 activations                  where a norm comes first its last bit may move an input by one f16 step: sum|w||x| 2^-10
//   everything else                  relative to the largest element of the result; exp, rope and quantized caches named below
struct Bound {
  double element = 0, mean_square = 0;
};
inline Bound bound_of(const OpCase& c) {
  constexpr double eps = 0x1p-24;
  const bool q8 = c.word("act", "q8") == "q8" && c.word("w", "f32") != "f32" && c.word("w", "f32") != "f16" && c.word("w", "f32") != "bf16";
  const bool half = c.word("act", "q8") == "f16";
  if (is_linear(c.op)) {
    const bool normed = q8 && c.op != "linear" && c.op != "linear_residual";
    const bool half_normed = half && c.op != "linear" && c.op != "linear_residual";
    return {(c.number("K", 64) + 8) * eps + (normed ? 2.0 / 127 : half_normed ? 0x1p-10 : 0), normed || half_normed ? 1e-6 : 1e-11};
  }
  if (c.op == "linear_norm_add") return {2e-5, 1e-10};
  if (c.op == "norm_gate_up") return {q8 ? 2e-2 : half ? 1e-3 : 1e-5, q8 ? 1e-5 : half ? 1e-7 : 1e-10};
  if (c.op == "norm_qkv_rope") return {q8 ? 3e-2 : half ? 2e-3 : c.word("kv", "f16") == "f32" ? 2e-5 : 2e-3, q8 ? 1e-4 : 1e-6};
  if (c.op == "dense_attention") return {1e-5, 1e-10};
  if (c.op == "attention") {
    const std::string kv = c.word("kv", "f16");
    return kv == "f32" || kv == "f16" ? Bound{1e-5, 1e-10}
                                      : Bound{2e-2, 1e-4};  // q8, q4: the query and the probabilities are rounded as well
  }
  if (c.op == "gather_rows" || c.op == "patchify" || c.op == "add" || c.op == "select_rows" || c.op == "sample") return {0, 0};
  return {4e-6, 1e-11};
}

// bucket: how many rows the step is planned for; 0: the case's own choice, 64 or more.
inline void expect_agreement(Device& device, const OpCase& c, uint32_t bucket = 0) {
  auto reference = cpu::open_cpu({.threads = 1, .isa = {}, .reference = true});
  ASSERT_TRUE(reference.ok());
  Built built = build(c);
  if (bucket > 0) built.config.rows = built.config.outputs = bucket;
  const auto wanted = run(**reference, built);
  const auto got = run(device, built);
  ASSERT_TRUE(wanted.ok()) << wanted.status().message();
  ASSERT_TRUE(got.ok()) << got.status().message();
  ASSERT_EQ(wanted->values.size(), got->values.size());
  ASSERT_FALSE(wanted->values.empty());
  EXPECT_TRUE(got->guard_intact && wanted->guard_intact);

  std::vector<float> magnitude;
  if (is_linear(c.op)) {
    Built m = build_magnitudes(c);
    m.config.activations = ActivationFormat::f32;
    const auto sums = run(**reference, m);
    ASSERT_TRUE(sums.ok()) << sums.status().message();
    magnitude = sums->values;
  }
  double most = 0, squares = 0, errors = 0;
  for (const float v : wanted->values) most = std::max(most, std::fabs(static_cast<double>(v)));
  ASSERT_GT(most, 0) << "a case of zeros proves nothing";
  const Bound bound = bound_of(c);
  for (size_t i = 0; i < wanted->values.size(); ++i) {
    const double w = static_cast<double>(wanted->values[i]), g = static_cast<double>(got->values[i]), difference = std::fabs(g - w);
    ASSERT_FALSE(std::isnan(got->values[i])) << "element " << i << " of " << got->kernel;
    ASSERT_LE(difference, bound.element * (magnitude.empty() ? most : static_cast<double>(magnitude[i])))
        << "element " << i << " of " << got->kernel;
    squares += w * w;
    errors += difference * difference;
  }
  EXPECT_LE(errors, bound.mean_square * squares) << got->kernel;
}

}  // namespace kl::ops
