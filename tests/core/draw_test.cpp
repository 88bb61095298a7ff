// The draw against its definition in wider arithmetic.
#include "core/draw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace kl {
namespace {

TEST(Draw, PowersOfTwoAreRightToTheirLastBitsAndNeverTooLarge) {
  uint32_t before = 0;
  for (uint32_t f = 0; f < 1u << 24; ++f) {
    const uint32_t got = exp2_fixed(f);
    ASSERT_GE(got, before) << f;
    before = got;
    if (f % 61 != 0) continue;
    const long double exact = std::exp2(static_cast<long double>(f) / (1 << 24)) * (1 << 30);
    ASSERT_LE(got, exact) << f;
    ASSERT_GT(got, exact * (1 - 0x1p-28L)) << f;
  }
  EXPECT_EQ(exp2_fixed(0), 1u << 30);
  EXPECT_LT(exp2_fixed((1u << 24) - 1), 1u << 31);
}

TEST(Draw, WeightsAreTheSoftmaxs) {
  EXPECT_EQ(draw_weight(3, 3, draw_scale(0.8f)), uint64_t{1} << 42);
  EXPECT_EQ(draw_weight(-INFINITY, 3, draw_scale(0.8f)), 0u);
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(0, 25);
  for (const float temperature : {0.3f, 1.0f, 1.7f, 100.0f}) {
    const float scale = draw_scale(temperature);
    for (int i = 0; i < 100000; ++i) {
      const float best = uniform(random), logit = best - uniform(random);
      const float t = (logit - best) * scale;
      const long double exact = std::exp2(static_cast<long double>(t)) * 0x1p42L, got = draw_weight(logit, best, scale);
      if (t <= -43) {
        ASSERT_EQ(got, 0);
        continue;
      }
      ASSERT_NEAR(static_cast<double>(got), static_cast<double>(exact), static_cast<double>(exact) * 0x1p-24 + 1);
      // And that of float32 arithmetic on the temperature, to its own rounding: |t| half steps of 2^-24.
      const double softmax = std::exp((static_cast<double>(logit) - static_cast<double>(best)) / static_cast<double>(temperature)) * 0x1p42;
      ASSERT_NEAR(static_cast<double>(got), softmax, softmax * (2 + 3 * std::fabs(static_cast<double>(t))) * 0x1p-24 + 1);
    }
  }
}

TEST(Draw, ExtremeTemperaturesGiveNumbers) {
  EXPECT_EQ(draw_weight(1, 1, draw_scale(1e-38f)), uint64_t{1} << 42);
  EXPECT_EQ(draw_weight(std::nextafterf(1, 0), 1, draw_scale(1e-38f)), 0u);
  EXPECT_EQ(draw_weight(-3e38f, 3e38f, draw_scale(100)), 0u);
  EXPECT_GT(draw_weight(0, 1, draw_scale(100)), uint64_t{1} << 41);
}

TEST(Draw, HighProductsAreThoseOf128Bits) {
  __extension__ using Wide = unsigned __int128;
  std::mt19937_64 random(3);
  for (int i = 0; i < 100000; ++i) {
    const uint64_t a = random() >> (random() % 64), b = random() >> (random() % 64);
    ASSERT_EQ(multiply_high(a, b), static_cast<uint64_t>(Wide{a} * b >> 64));
  }
  EXPECT_EQ(multiply_high(~uint64_t{0}, ~uint64_t{0}), ~uint64_t{0} - 1);
}

// What is left by sorting, and then the walk with sums of 128 bits.
int32_t by_definition(const std::vector<float>& logits, const DrawSettings& s) {
  __extension__ using Wide = unsigned __int128;
  std::vector<size_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), size_t{0});
  std::stable_sort(ids.begin(), ids.end(), [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  const float best = logits[ids[0]];
  if (s.top_k > 0) ids.resize(std::min<size_t>(ids.size(), s.top_k));
  std::sort(ids.begin(), ids.end(), [](size_t a, size_t b) { return std::pair(a % 128, a) < std::pair(b % 128, b); });
  Wide sum = 0;
  for (const size_t id : ids) sum += draw_weight(logits[id], best, s.scale);
  const Wide r = (Wide{s.random_high} << 32 | s.random_low) * sum >> 64;
  Wide running = 0;
  for (const size_t id : ids) {
    running += draw_weight(logits[id], best, s.scale);
    if (running > r) return static_cast<int32_t>(id);
  }
  return -1;
}

TEST(Draw, TokensAreTheDefinitions) {
  std::mt19937 random(7);
  for (int i = 0; i < 4000; ++i) {
    std::vector<float> logits(1 + random() % (i % 10 == 0 ? 5000 : 300));
    std::normal_distribution<float> normal(0, 4);
    const float levels = i % 3 == 0 ? 1.0f : i % 3 == 1 ? 4.0f : 0.0f;
    for (float& v : logits) v = levels == 0 ? normal(random) : std::round(normal(random) * levels) / levels;
    if (i % 5 == 0) logits[random() % logits.size()] = -INFINITY;
    if (std::all_of(logits.begin(), logits.end(), [](float v) { return std::isinf(v); })) continue;
    DrawSettings s{draw_scale(0.05f + static_cast<float>(random() % 300) * 0.01f), static_cast<uint32_t>(random() % (logits.size() + 3)),
                   static_cast<uint32_t>(random()), static_cast<uint32_t>(random())};
    if (i % 7 == 0) s.random_low = s.random_high = 0;
    if (i % 7 == 1) s.random_low = s.random_high = ~0u;
    ASSERT_EQ(draw(logits, *std::max_element(logits.begin(), logits.end()), s), by_definition(logits, s)) << i;
  }
}

}  // namespace
}  // namespace kl
