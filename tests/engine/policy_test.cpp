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

PolicyJob with_whole(uint32_t pending, std::span<const WholeRows> whole) { return {.model = 0, .pending = pending, .whole = whole}; }

TEST(Policy, RowsThatMustStayWholeAreNeverCut) {
  const std::vector<WholeRows> whole{{10, 30}, {50, 60}};
  EXPECT_EQ(uncut_rows(whole, 9), 9u);
  EXPECT_EQ(uncut_rows(whole, 10), 10u);
  EXPECT_EQ(uncut_rows(whole, 29), 10u);
  EXPECT_EQ(uncut_rows(whole, 30), 30u);
  EXPECT_EQ(uncut_rows(whole, 55), 50u);
  EXPECT_EQ(uncut_rows(std::vector<WholeRows>{{0, 20}}, 19), 0u);
  std::mt19937 random(3);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  struct Left {
    uint32_t pending = 1;
    bool decoding = false;
    std::vector<WholeRows> whole{};
  };
  for (int trial = 0; trial < 2000; ++trial) {
    const PolicyModel model{.max_rows = 32 + below(64), .max_outputs = 8, .max_sequences = 8};
    std::vector<Left> left(1 + below(6));
    for (Left& job : left) {
      uint32_t at = below(3) == 0 ? 0 : below(40);
      for (uint32_t n = below(3); n > 0; --n) {
        job.whole.push_back({at, at + 1 + below(32)});
        at = job.whole.back().end + below(20);
      }
      job.decoding = job.whole.empty() && below(2) == 0;
      if (!job.decoding) job.pending = at + 1 + below(50);
    }
    // Every job comes to its end, and no step cuts or overflows.
    int steps = 0;
    for (; !left.empty() && steps < 1000; ++steps) {
      std::vector<PolicyJob> jobs;
      for (const Left& job : left) jobs.push_back({.model = 0, .pending = job.pending, .decoding = job.decoding, .whole = job.whole});
      const StepChoice choice = choose_step(std::span(&model, 1), jobs, 0);
      ASSERT_FALSE(choice.slices.empty());
      ASSERT_LE(all_rows(choice), model.max_rows);
      for (const StepSlice& slice : choice.slices) {
        Left& job = left[slice.job];
        ASSERT_GT(slice.rows, 0u);
        ASSERT_LE(slice.rows, job.pending);
        for (const WholeRows& w : job.whole) ASSERT_FALSE(w.first < slice.rows && slice.rows < w.end);
        if (!job.decoding || steps > 20) job.pending -= slice.rows;
        for (WholeRows& w : job.whole) w = {w.first - std::min(w.first, slice.rows), w.end - std::min(w.end, slice.rows)};
        std::erase_if(job.whole, [](const WholeRows& w) { return w.end == 0; });
      }
      std::erase_if(left, [](const Left& job) { return job.pending == 0; });
    }
    ASSERT_TRUE(left.empty()) << "trial " << trial;
  }
}

TEST(Policy, AnImageThatMustStayWholeGoesBesideDecodingAndMakesItWaitWhereItMust) {
  const PolicyModel model{.max_rows = 256};
  const std::vector<WholeRows> large{{0, 256}}, small{{0, 100}};
  const auto beside = choose_step(std::span(&model, 1), std::vector{decoding(), with_whole(300, small)}, 0);
  EXPECT_EQ(rows_of(beside, 0), 1u);
  EXPECT_EQ(rows_of(beside, 1), 100u);  // more than the rows a prompt has beside decoding
  const auto alone = choose_step(std::span(&model, 1), std::vector{decoding(), with_whole(300, large)}, 0);
  EXPECT_EQ(rows_of(alone, 0), 0u);
  EXPECT_EQ(rows_of(alone, 1), 256u);
}

// What text and encoding get of a long time with steps and slices of these lengths.
double text_share(double step, double slice) {
  EncodeDebt debt;
  double text = 0, encode = 0;
  while (text + encode < 1000) {
    switch (choose_work(true, true, false, debt)) {
      case Work::text:
        text += step;
        debt = after_text(debt, step);
        break;
      case Work::encode:
        encode += slice;
        debt = after_encode(debt, slice);
        break;
      case Work::nothing:
        return -1;
    }
  }
  return text / (text + encode);
}

TEST(Policy, EncodingLeavesTextItsShareWhateverTheLengthsOfStepsAndSlices) {
  for (const double step : {0.0001, 0.003, 0.02, 0.5}) {
    for (const double slice : {0.0002, 0.005, 0.05, 1.0}) {
      EXPECT_GE(text_share(step, slice), kTextShare - 0.002) << step << " " << slice;
    }
  }
  EXPECT_NEAR(text_share(0.003, 0.005), kTextShare, 0.01);  // and takes what is left
}

TEST(Policy, EncodingTakesAllWhereNothingElseCouldRunAndTextWhereNothingIsEncoded) {
  const EncodeDebt deep{100};
  EXPECT_EQ(choose_work(false, true, false, deep), Work::encode);
  EXPECT_EQ(choose_work(true, false, false, deep), Work::text);
  EXPECT_EQ(choose_work(false, false, false, deep), Work::nothing);
  EXPECT_EQ(choose_work(true, true, false, deep), Work::text);
  EXPECT_EQ(choose_work(true, true, true, deep), Work::encode);  // the app chose it
  EXPECT_EQ(choose_work(true, true, false, {}), Work::encode);
}

}  // namespace
}  // namespace kl
