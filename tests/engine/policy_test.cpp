#include "engine/policy.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <set>

namespace kl {
namespace {

PolicyJob prompt(uint32_t pending, uint32_t model = 0) { return {.model = model, .pending = pending}; }
PolicyJob decoding(uint32_t model = 0) { return {.model = model, .pending = 1, .decoding = true}; }

uint32_t rows_of(const StepChoice& choice, uint32_t job) {
  for (const StepSlice& slice : choice.slices) {
    if (slice.job == job) return slice.rows;
  }
  return 0;
}
uint32_t all_rows(const StepChoice& choice) {
  return std::accumulate(choice.slices.begin(), choice.slices.end(), 0u, [](uint32_t sum, const StepSlice& s) { return sum + s.rows; });
}

TEST(Policy, NothingToDoIsAnEmptyStep) {
  EXPECT_TRUE(choose_step({}, {}, 0).slices.empty());
  EXPECT_TRUE(choose_step(std::vector<PolicyModel>(2), {}, 0).slices.empty());
}

TEST(Policy, OnePromptTakesTheWholeStep) {
  const std::vector<PolicyModel> models{{.max_rows = 512}};
  EXPECT_EQ(rows_of(choose_step(models, std::vector{prompt(2000)}, 0), 0), 512u);
  EXPECT_EQ(rows_of(choose_step(models, std::vector{prompt(30)}, 0), 0), 30u);
}

TEST(Policy, DecodingComesFirstAndLimitsThePromptBesideIt) {
  const std::vector<PolicyModel> models(1);
  const auto choice = choose_step(models, std::vector{prompt(2000), decoding(), decoding()}, 0);
  EXPECT_EQ(rows_of(choice, 1), 1u);
  EXPECT_EQ(rows_of(choice, 2), 1u);
  EXPECT_EQ(rows_of(choice, 0), kPromptRowsBesideDecoding);
  EXPECT_EQ(choice.slices[0].job, 1u);
}

TEST(Policy, PromptsShareEquallyAndLeaveNothingOver) {
  const std::vector<PolicyModel> models{{.max_rows = 100}};
  const auto choice = choose_step(models, std::vector{prompt(1000), prompt(10), prompt(1000)}, 0);
  EXPECT_EQ(rows_of(choice, 1), 10u);
  EXPECT_EQ(all_rows(choice), 100u);
  EXPECT_GE(rows_of(choice, 0), 44u);
  EXPECT_GE(rows_of(choice, 2), 44u);
}

TEST(Policy, ModelsTakeTurns) {
  const std::vector<PolicyModel> models(3);
  const std::vector jobs{decoding(0), decoding(2), prompt(5000, 0)};
  uint32_t turn = 0;
  std::vector<uint32_t> order;
  for (int i = 0; i < 4; ++i) {
    const auto choice = choose_step(models, jobs, turn);
    order.push_back(choice.model);
    turn = choice.next_model;
  }
  EXPECT_EQ(order, (std::vector<uint32_t>{0, 2, 0, 2}));
}

TEST(Policy, AJobThatMustRunAloneDoes) {
  const std::vector<PolicyModel> models(1);
  std::vector jobs{decoding(), decoding(), prompt(9)};
  jobs[1].alone = true;
  const auto choice = choose_step(models, jobs, 0);
  ASSERT_EQ(choice.slices.size(), 1u);
  EXPECT_EQ(choice.slices[0].job, 1u);
}

// Random queues: the limits hold, and every job is served within a bounded number of steps.
TEST(Policy, LimitsHoldAndNobodyStarves) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
    const PolicyModel model{.max_rows = 1 + below(40), .max_outputs = 1 + below(8), .max_sequences = 1 + below(8)};
    std::vector<PolicyModel> models(1 + random() % 3, model);
    std::vector<PolicyJob> jobs(1 + random() % 30);
    for (auto& job : jobs) {
      job = random() % 2 == 0 ? decoding() : prompt(1 + below(100000));
      job.model = below(static_cast<uint32_t>(models.size()));
    }
    std::set<uint32_t> served;
    uint32_t turn = below(100);
    for (PolicyModel& m : models) m.next_job = below(100);
    for (size_t step = 0; step < models.size() * (jobs.size() + 1) * 2; ++step) {
      const auto choice = choose_step(models, jobs, turn);
      ASSERT_FALSE(choice.slices.empty());
      ASSERT_LE(choice.slices.size(), std::min(model.max_sequences, model.max_outputs));
      ASSERT_LE(all_rows(choice), model.max_rows);
      std::set<uint32_t> distinct;
      for (const StepSlice& slice : choice.slices) {
        ASSERT_EQ(jobs[slice.job].model, choice.model);
        ASSERT_GE(slice.rows, 1u);
        ASSERT_LE(slice.rows, jobs[slice.job].pending);
        ASSERT_TRUE(distinct.insert(slice.job).second);
        served.insert(slice.job);
      }
      turn = choice.next_model;
      models[choice.model].next_job = choice.next_job;
    }
    ASSERT_EQ(served.size(), jobs.size()) << "round " << round;
  }
}

}  // namespace
}  // namespace kl
