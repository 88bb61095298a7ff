// The device draws the tokens that the host's sampler draws, from the same logits: over many seeds, temperatures, cuts and ties.
#include <cmath>
#include <cstring>
#include <random>

#include "ops/op_case.h"
#include "sampling/sampler.h"
#include "vulkan/driver.h"

namespace kl::vulkan {
namespace {

// 64 rows of logits, row r being what gather_rows gives for the r-th token of a case.
struct Rows {
  explicit Rows(uint32_t width, uint32_t seed, float levels) : built(ops::build({"sample", {{"T", "64"}, {"K", std::to_string(width)}}})) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 3);
    std::vector<float> table(built.weights[0].size() / sizeof(float));
    for (float& v : table) v = levels == 0 ? normal(random) : std::round(normal(random) * levels) / levels;
    std::memcpy(built.weights[0].data(), table.data(), built.weights[0].size());
    built.output_rows.clear();
    for (uint32_t r = 0; r < 64; ++r) {
      built.output_rows.push_back(r);
      const size_t token = r * 7 % 256;
      logits.emplace_back(table.begin() + static_cast<ptrdiff_t>(token * width),
                          table.begin() + static_cast<ptrdiff_t>((token + 1) * width));
    }
  }
  ops::Built built;
  std::vector<std::vector<float>> logits;
};

TEST(VulkanSample, TokensAreTheHostSamplers) {
  KL_VULKAN_OR_SKIP(device);
  std::mt19937 random(11);
  Sampler sampler;
  size_t drawn = 0, not_the_highest = 0;
  for (const uint32_t width : {1u, 100u, 128u, 512u, 4099u}) {
    for (const float levels : {0.0f, 2.0f}) {
      Rows rows(width, width, levels);
      for (int run = 0; run < 8; ++run) {
        std::vector<SamplingOptions> options(64);
        for (SamplingOptions& o : options) {
          const uint32_t kind = random() % 8;
          o.temperature = kind == 0 ? 0.0f : kind == 1 ? 1e-30f : kind == 2 ? 100.0f : 0.1f + static_cast<float>(random() % 200) * 0.01f;
          o.top_k = random() % 3 == 0 ? 0 : static_cast<int32_t>(random() % (random() % 2 == 0 ? 64 : width + 2));
          o.seed = random();
          ASSERT_TRUE(o.is_plain_draw());
        }
        rows.built.fill = [&](const StepParams& p, uint32_t, uint32_t) {
          for (uint32_t o = 0; o < p.header().outputs; ++o) p.draws()[o] = draw_settings(options[o], 100 + o);
        };
        const auto result = ops::run(*device, rows.built);
        ASSERT_TRUE(result.ok()) << result.status().message();
        ASSERT_EQ(result->values.size(), 64u);
        for (uint32_t o = 0; o < 64; ++o) {
          const int32_t wanted = *sampler.sample(rows.logits[o], options[o], {}, 100 + o);
          ASSERT_EQ(static_cast<int32_t>(result->values[o]), wanted)
              << "width " << width << " temperature " << options[o].temperature << " top_k " << options[o].top_k;
          ++drawn;
          not_the_highest += wanted != *argmax(rows.logits[o]) ? 1 : 0;
        }
      }
    }
  }
  EXPECT_EQ(drawn, 5120u);
  EXPECT_GT(not_the_highest, 2000u) << "these draws say something";
}

TEST(VulkanSample, RowsThatAreNotFiniteGiveNoToken) {
  KL_VULKAN_OR_SKIP(device);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    for (const float scale : {0.0f, 1.0f}) {
      Rows rows(300, 5, 0);
      const size_t at = (3 * 7 % 256) * size_t{300} + 299;  // the last logit of row 3
      std::memcpy(rows.built.weights[0].data() + at * sizeof(float), &bad, sizeof bad);
      rows.built.fill = [&](const StepParams& p, uint32_t, uint32_t) {
        for (uint32_t o = 0; o < p.header().outputs; ++o) p.draws()[o] = {.scale = o == 5 ? -1.0f : scale, .top_k = o % 4};
      };
      const auto result = ops::run(*device, rows.built);
      ASSERT_TRUE(result.ok()) << result.status().message();
      for (uint32_t o = 0; o < 64; ++o) EXPECT_EQ(result->values[o] < 0, o == 3 || o == 5) << o << " " << bad;
    }
  }
}

}  // namespace
}  // namespace kl::vulkan
