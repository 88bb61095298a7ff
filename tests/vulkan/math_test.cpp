// The shaders' own functions (shaders/include/math.glsl), compiled as C++: their bounds over all that can happen between two powers of two, and at the ends.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace kl::vulkan {
namespace {

// The words that the shading language has. A driver's fma may round its product: everything is compiled both ways.
#define KL_SHADER_WORDS                                                    \
  using std::max;                                                          \
  using std::min;                                                          \
  using uint = uint32_t;                                                   \
  float uintBitsToFloat(uint bits) { return std::bit_cast<float>(bits); }  \
  uint floatBitsToUint(float value) { return std::bit_cast<uint>(value); } \
  float roundEven(float x) { return std::nearbyint(x); }

namespace fused {
KL_SHADER_WORDS
using std::fma;
#include "shaders/include/math.glsl"
}  // namespace fused

#undef MATH_GLSL
namespace split {
KL_SHADER_WORDS
float fma(float a, float b, float c) { return a * b + c; }  // the tests are compiled with -ffp-contract=off
#include "shaders/include/math.glsl"
}  // namespace split

struct Functions {
  const char* fma;
  float (*divide)(float, float);
  float (*inverse_root)(float);
  float (*exp_of)(float);
  double root_bound, exp_bound;  // ulp
};

class ShaderMath : public testing::TestWithParam<Functions> {};

INSTANTIATE_TEST_SUITE_P(Drivers, ShaderMath,
                         testing::Values(Functions{"fused", fused::divide, fused::inverse_root, fused::exp_of, 1.0, 1.01},
                                         Functions{"split", split::divide, split::inverse_root, split::exp_of, 1.3, 1.01}),
                         [](const auto& each) { return std::string(each.param.fma); });

constexpr uint32_t kOne = 0x3f800000, kMantissas = 1U << 23U;
constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

double ulps(float value, double wanted) {
  int exponent = 0;
  (void)std::frexp(wanted, &exponent);
  return std::abs(double{value} - wanted) / std::ldexp(1.0, std::max(exponent, -125) - 24);
}

// Every divisor. Exponents change nothing while no number leaves its range.
TEST_P(ShaderMath, DivisionIsCorrectlyRounded) {
  const Functions glsl = GetParam();
  uint64_t random = 1;
  const auto next = [&random] { return random = random * 6364136223846793005U + 1442695040888963407U; };
  for (uint32_t m = 0; m < kMantissas; ++m) {
    const auto b = std::bit_cast<float>(kOne | m), a = std::bit_cast<float>(kOne | static_cast<uint32_t>(next() >> 41U));
    ASSERT_EQ(glsl.divide(1.0f, b), 1.0f / b) << b;
    ASSERT_EQ(glsl.divide(a, b), a / b) << a << " / " << b;
  }
  for (int i = 0; i < 1'000'000; ++i) {
    const uint32_t exponents = static_cast<uint32_t>(next() >> 32U);
    const float a = std::ldexp(std::bit_cast<float>(kOne | static_cast<uint32_t>(next() >> 41U)), static_cast<int>(exponents % 200) - 100);
    const float b =
        std::ldexp(std::bit_cast<float>(kOne | static_cast<uint32_t>(next() >> 41U)), static_cast<int>(exponents / 256 % 252) - 126);
    const float quotient = a / b;
    if (!std::isnormal(quotient)) continue;
    ASSERT_EQ(glsl.divide(a, b), quotient) << a << " / " << b;
    ASSERT_EQ(glsl.divide(-a, b), -quotient) << a << " / " << b;
  }
  for (const float zero : {0.0f, -0.0f}) EXPECT_EQ(std::bit_cast<uint32_t>(glsl.divide(zero, 3.0f)), std::bit_cast<uint32_t>(zero));
  EXPECT_EQ(glsl.divide(1e-30f, 1e30f), 0.0f);
  EXPECT_EQ(glsl.divide(1e-40f, 3.0f), 0.0f) << "smaller than normal numbers";
  EXPECT_EQ(glsl.divide(-1e30f, 1e-30f), -kInfinity);
  EXPECT_EQ(glsl.divide(0x1.fffffep127f, 0x1.fffffep-1f), kInfinity) << "by rounding alone";
  EXPECT_EQ(glsl.divide(0x1.fffffep127f, 1.0f), 0x1.fffffep127f);
  EXPECT_EQ(glsl.divide(0x1p-126f, 1.0f), 0x1p-126f);
  for (const auto& [a, b] : {std::pair{kNan, 3.0f}, {3.0f, kNan}, {kInfinity, 3.0f}, {3.0f, -kInfinity}})
    EXPECT_TRUE(std::isnan(glsl.divide(a, b))) << a << " / " << b;
}

TEST_P(ShaderMath, InverseRootsAreWithinAnUlp) {
  const Functions glsl = GetParam();
  double most = 0;
  for (uint32_t bits = kOne; bits < kOne + 2 * kMantissas; ++bits) {  // 1 to below 4; four times as much is half the result
    const auto x = std::bit_cast<float>(bits);
    most = std::max(most, ulps(glsl.inverse_root(x), 1 / std::sqrt(double{x})));
  }
  RecordProperty("ulp", std::to_string(most));
  EXPECT_LT(most, glsl.root_bound);
  for (int exponent = -126; exponent < 128; ++exponent)
    EXPECT_LT(ulps(glsl.inverse_root(std::ldexp(1.37f, exponent)), 1 / std::sqrt(std::ldexp(double{1.37f}, exponent))), glsl.root_bound)
        << exponent;
  EXPECT_TRUE(std::isnan(glsl.inverse_root(kNan)));
}

// A walk over every number gives the bound (1.0095 ulp, at -59.92); this one takes each seventeenth.
TEST_P(ShaderMath, ExponentialsAreWithinTheirBound) {
  const Functions glsl = GetParam();
  double most = 0;
  for (const float sign : {1.0f, -1.0f}) {
    for (uint32_t bits = 0x32800000U; bits <= std::bit_cast<uint32_t>(88.0f); bits += 17) {  // from 2^-26: what is nearer to 0 gives 1
      const float x = sign * std::bit_cast<float>(bits);
      if (x >= -87.33f) most = std::max(most, ulps(glsl.exp_of(x), std::exp(double{x})));
    }
  }
  RecordProperty("ulp", std::to_string(most));
  EXPECT_LT(most, glsl.exp_bound);
  for (const float x : {0.0f, -0.0f, 1e-30f, -1e-30f, 1e-40f}) EXPECT_EQ(glsl.exp_of(x), 1.0f) << x;
  for (const float x : {-87.4f, -1e30f, -kInfinity}) EXPECT_EQ(glsl.exp_of(x), 0.0f) << x;
  for (const float x : {89.0f, 1e30f, kInfinity}) EXPECT_EQ(glsl.exp_of(x), glsl.exp_of(88.0f)) << x;
  EXPECT_TRUE(std::isnan(glsl.exp_of(kNan)));
}

}  // namespace
}  // namespace kl::vulkan
