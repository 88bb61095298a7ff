#include "sampling/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>

#include "sampling/exp.h"

namespace kl {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> random_logits(size_t count, uint32_t seed, float spread = 4) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> logits(count);
  for (float& x : logits) x = normal(random);
  return logits;
}

// The distribution that sampler.h defines, written the slow way: probabilities by id, 0 for what is cut.
std::vector<double> definition(const std::vector<float>& logits, const SamplingOptions& o) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  std::vector<long double> p;
  p.reserve(order.size());
  for (const size_t id : order) p.push_back(std::exp((static_cast<long double>(logits[id]) - logits[order[0]]) / o.temperature));
  if (o.top_k > 0) p.resize(std::min(p.size(), static_cast<size_t>(o.top_k)));
  const long double all = std::accumulate(p.begin(), p.end(), 0.0L);
  long double sum = 0;
  size_t n = 0;
  while (n < p.size() && (n == 0 || o.top_p == 1 || sum < o.top_p * all)) sum += p[n++];
  p.resize(n);
  while (p.back() < static_cast<long double>(o.min_p)) p.pop_back();
  const long double left = std::accumulate(p.begin(), p.end(), 0.0L);
  std::vector<double> out(logits.size(), 0);
  for (size_t i = 0; i < p.size(); ++i) out[order[i]] = static_cast<double>(p[i] / left);
  return out;
}

// p > 0.001 by the Wilson-Hilferty approximation of the chi-square distribution.
void expect_samples_follow(const std::vector<float>& logits, const SamplingOptions& options, int draws) {
  const std::vector<double> expected = definition(logits, options);
  Sampler sampler;
  std::vector<int> counts(logits.size());
  for (int i = 0; i < draws; ++i) {
    const auto token = sampler.sample(logits, options, {}, static_cast<uint64_t>(i));
    ASSERT_TRUE(token.ok());
    ++counts[static_cast<size_t>(*token)];
  }
  double chi = 0, rest_expected = 0, rest_seen = 0;
  int bins = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (expected[id] == 0) {
      EXPECT_EQ(counts[id], 0) << "token " << id << " is cut";
    } else if (expected[id] * draws < 10) {
      rest_expected += expected[id] * draws;
      rest_seen += counts[id];
    } else {
      chi += std::pow(counts[id] - expected[id] * draws, 2) / (expected[id] * draws);
      ++bins;
    }
  }
  if (rest_expected > 10) {
    chi += std::pow(rest_seen - rest_expected, 2) / rest_expected;
    ++bins;
  }
  ASSERT_GT(bins, 2);
  const double k = bins - 1, z = (std::cbrt(chi / k) - (1 - 2 / (9 * k))) / std::sqrt(2 / (9 * k));
  EXPECT_LT(z, 3.09) << "chi-square " << chi << " at " << k << " degrees of freedom";
}

TEST(PortableExp, IsWithinTwoUlp) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> wide(-700, 0), near(-2, 0);
  double worst = 0;
  for (int i = 0; i < 400000; ++i) {
    const double x = i % 2 == 0 ? wide(random) : near(random);
    const long double exact = std::exp(static_cast<long double>(x));
    const double ulp = std::nextafter(static_cast<double>(exact), 2.0) - static_cast<double>(exact);
    worst = std::max(worst, static_cast<double>(std::abs(portable_exp(x) - exact)) / ulp);
  }
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LT(worst, 2);
  EXPECT_EQ(portable_exp(0), 1);
  EXPECT_EQ(portable_exp(-0.0), 1);
  EXPECT_EQ(portable_exp(-701), 0);
  EXPECT_EQ(portable_exp(-std::numeric_limits<double>::infinity()), 0);
}

TEST(Sampler, GreedyTakesTheHighestAndTheLowestIdOfEquals) {
  Sampler sampler;
  EXPECT_EQ(*sampler.sample(std::vector<float>{1, 5, 3, 5}, {}, {}, 0), 1);
  EXPECT_EQ(*sampler.sample(std::vector<float>{-kInf, -5, -3}, {}, {}, 0), 2);
}

TEST(Sampler, OneDrawDependsOnSeedStreamAndPositionOnly) {
  const auto logits = random_logits(1000, 1, 1);
  const SamplingOptions options{.temperature = 1, .seed = 5};
  Sampler fresh, used;
  for (uint64_t i = 0; i < 50; ++i) (void)used.sample(logits, {.temperature = 2, .top_k = 3}, {}, i);
  int changed_by_stream = 0, changed_by_seed = 0;
  for (uint64_t position = 0; position < 100; ++position) {
    const int32_t token = *fresh.sample(logits, options, {}, position);
    EXPECT_EQ(token, *used.sample(logits, options, {}, position));
    changed_by_stream += token != *used.sample(logits, options, {}, position, 1);
    changed_by_seed += token != *used.sample(logits, {.temperature = 1, .seed = 6}, {}, position);
  }
  EXPECT_GT(changed_by_stream, 90);
  EXPECT_GT(changed_by_seed, 90);
}

TEST(Sampler, SamplesFollowTheDefinition) {
  const auto logits = random_logits(80, 3);
  expect_samples_follow(logits, {.temperature = 1, .seed = 1}, 1000000);
  expect_samples_follow(logits, {.temperature = 0.7f, .seed = 2}, 200000);
  expect_samples_follow(logits, {.temperature = 1.5f, .top_k = 20, .seed = 7}, 200000);
  expect_samples_follow(logits, {.temperature = 1, .top_p = 0.9f, .seed = 4}, 200000);
  expect_samples_follow(logits, {.temperature = 1, .min_p = 0.05f, .seed = 5}, 200000);
  expect_samples_follow(logits, {.temperature = 1.2f, .top_k = 40, .top_p = 0.8f, .min_p = 0.02f, .seed = 6}, 200000);
}

// Flat logits: top_p needs more candidates than the first selection of 256, and top_k more than the heap takes.
TEST(Sampler, CutsReachAcrossTheWholeVocabulary) {
  const auto logits = random_logits(6000, 4, 0.01f);
  for (const SamplingOptions& options : {SamplingOptions{.temperature = 1, .top_p = 0.5f}, SamplingOptions{.temperature = 1, .top_k = 3000},
                                         SamplingOptions{.temperature = 1, .min_p = 0.95f}}) {
    const auto expected = definition(logits, options);
    Sampler sampler;
    std::vector<bool> seen(logits.size());
    for (uint64_t i = 0; i < 500; ++i) {
      const auto token = static_cast<size_t>(*sampler.sample(logits, options, {}, i));
      EXPECT_GT(expected[token], 0);
      seen[token] = true;
    }
    EXPECT_GT(std::count(seen.begin(), seen.end(), true), 400);
  }
}

TEST(Sampler, EqualLogitsAtTheCutKeepTheLowestIds) {
  std::vector<float> logits(500, 1.0f);
  Sampler sampler;
  for (uint64_t i = 0; i < 500; ++i) EXPECT_LT(*sampler.sample(logits, {.temperature = 1, .top_k = 7}, {}, i), 7);
}

TEST(Sampler, PenaltiesCountTheWindowOnly) {
  Sampler sampler;
  const std::vector<float> logits{4.0f, 3.9f, -1.0f};
  const std::vector<int32_t> history{1, 0, 0};
  EXPECT_EQ(*sampler.sample(logits, {.repeat_penalty = 1.1f, .repeat_window = 2}, history, 3), 1);
  EXPECT_EQ(*sampler.sample(logits, {.repeat_penalty = 1.1f, .repeat_window = 3}, history, 3), 0);
  EXPECT_EQ(*sampler.sample(logits, {.presence_penalty = 0.2f, .repeat_window = 3}, history, 3), 0);   // both seen: both lose 0.2
  EXPECT_EQ(*sampler.sample(logits, {.frequency_penalty = 0.2f, .repeat_window = 3}, history, 3), 1);  // seen twice, lose 0.4; once, 0.2
  EXPECT_EQ(*sampler.sample(logits, {.presence_penalty = 10, .repeat_window = 64}, history, 3), 2);
  EXPECT_EQ(*sampler.sample(logits, {.repeat_penalty = 2, .repeat_window = 64}, std::vector<int32_t>{99, -5}, 2),
            0);  // foreign ids change nothing
}

TEST(Sampler, BrokenLogitsAreAnErrorAndNeverAToken) {
  Sampler sampler;
  std::vector<TokenLogprob> top;
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInf}) {
    for (const size_t at : {size_t{0}, size_t{41}, size_t{99}}) {
      auto logits = random_logits(100, 1);
      logits[at] = bad;
      for (const SamplingOptions& options : {SamplingOptions{}, SamplingOptions{.temperature = 1},
                                             SamplingOptions{.temperature = 1, .top_k = 5}, SamplingOptions{.repeat_penalty = 2}}) {
        const auto token = sampler.sample(logits, options, {}, 0);
        ASSERT_FALSE(token.ok());
        EXPECT_EQ(token.status().code(), Code::internal);
        EXPECT_NE(token.status().message().find(std::to_string(at)), std::string::npos) << token.status().message();
      }
      EXPECT_FALSE(sampler.logprobs(logits, 1, 1, top).ok());
    }
  }
  EXPECT_FALSE(sampler.sample(std::vector<float>(10, -kInf), {.temperature = 1}, {}, 0).ok());
  EXPECT_FALSE(sampler.sample({}, {}, {}, 0).ok());
}

TEST(Sampler, MaskedTokensAreNeverDrawn) {
  Sampler sampler;
  std::vector<float> logits(50, -kInf);
  logits[7] = -1000;
  logits[33] = -1000;
  for (uint64_t i = 0; i < 200; ++i) {
    const int32_t token = *sampler.sample(logits, {.temperature = 100}, {}, i);
    EXPECT_TRUE(token == 7 || token == 33) << token;
    EXPECT_EQ(*sampler.sample(logits, {.temperature = 1, .top_p = 0.1f}, {}, i), 7);
  }
}

TEST(Sampler, ExtremeSettingsStillGiveAToken) {
  const auto logits = random_logits(100, 9);
  const int32_t best = *argmax(logits);
  Sampler sampler;
  EXPECT_EQ(*sampler.sample(logits, {.temperature = std::numeric_limits<float>::denorm_min()}, {}, 0), best);
  EXPECT_EQ(*sampler.sample(logits, {.temperature = 1, .top_p = 0}, {}, 0), best);
  EXPECT_EQ(*sampler.sample(logits, {.temperature = 1, .min_p = 1}, {}, 0), best);
  EXPECT_TRUE(sampler.sample(logits, {.temperature = 100, .top_k = std::numeric_limits<int32_t>::max()}, {}, 0).ok());
}

TEST(Sampler, LogprobsAreTheLogSoftmaxBestFirst) {
  const auto logits = random_logits(200, 2);
  long double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<long double>(x));
  Sampler sampler;
  std::vector<TokenLogprob> top;
  EXPECT_NEAR(*sampler.logprobs(logits, 17, 5, top), logits[17] - static_cast<double>(std::log(sum)), 1e-5);
  ASSERT_EQ(top.size(), 5u);
  EXPECT_EQ(top[0].token, *argmax(logits));
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(top[i].logprob, logits[static_cast<size_t>(top[i].token)] - static_cast<double>(std::log(sum)), 1e-5);
    if (i > 0) {
      EXPECT_GT(top[i - 1].logprob, top[i].logprob);
    }
  }
  EXPECT_FALSE(sampler.logprobs(logits, 200, 5, top).ok());
  EXPECT_FALSE(sampler.logprobs(logits, -1, 5, top).ok());
}

TEST(SamplingOptions, EveryNumberHasARange) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(check({}).ok());
  for (const SamplingOptions& bad :
       {SamplingOptions{.temperature = -1}, SamplingOptions{.temperature = nan}, SamplingOptions{.temperature = kInf},
        SamplingOptions{.top_k = -1}, SamplingOptions{.top_p = 1.1f}, SamplingOptions{.top_p = nan}, SamplingOptions{.min_p = -0.1f},
        SamplingOptions{.min_p = nan}, SamplingOptions{.repeat_penalty = 0}, SamplingOptions{.repeat_penalty = nan},
        SamplingOptions{.presence_penalty = 101}, SamplingOptions{.presence_penalty = nan}, SamplingOptions{.frequency_penalty = -101},
        SamplingOptions{.frequency_penalty = nan}}) {
    EXPECT_EQ(check(bad).code(), Code::invalid_argument);
  }
}

}  // namespace
}  // namespace kl
