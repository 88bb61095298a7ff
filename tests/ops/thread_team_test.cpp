// The team's promise: every task of a job once, each phase after the one before, whichever threads the system lets run.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <vector>

#include "cpu/machine.h"
#include "cpu/thread_team.h"

namespace kl::cpu {
namespace {

// Phase p has widths[p] tasks; each checks that the phase before is complete and that nobody did it already.
class Counting final : public TeamJob {
 public:
  Counting(std::vector<uint32_t> widths, uint32_t threads) : widths_(std::move(widths)), threads_(threads), done_(widths_.size()) {
    first_.resize(widths_.size());
    std::exclusive_scan(widths_.begin(), widths_.end(), first_.begin(), 0u);
    seen_.resize(std::accumulate(widths_.begin(), widths_.end(), 0u));
  }
  uint32_t phases() const override { return static_cast<uint32_t>(widths_.size()); }
  uint32_t tasks(uint32_t phase) override {
    check(phase == opened_++);
    return widths_[phase];
  }
  void run(uint32_t phase, uint32_t task, uint32_t thread) override {
    check(phase + 1 == opened_ && task < widths_[phase] && thread < threads_);
    check(phase == 0 || done_[phase - 1].load() == widths_[phase - 1]);
    check(++seen_[first_[phase] + task] == 1);  // no atomic: a second thread here is a race that TSan reports
    done_[phase].fetch_add(1);
  }
  bool complete() const {
    return good_.load() && opened_ == widths_.size() && std::count(seen_.begin(), seen_.end(), 1) == static_cast<ptrdiff_t>(seen_.size());
  }

 private:
  void check(bool holds) {
    if (!holds) good_.store(false);
  }
  std::vector<uint32_t> widths_, first_;
  uint32_t threads_;
  std::vector<std::atomic<uint32_t>> done_;
  std::vector<int> seen_;
  uint32_t opened_ = 0;
  std::atomic<bool> good_{true};
};

TEST(ThreadTeam, EveryTaskRunsOnceAndEveryPhaseAfterTheOneBefore) {
  for (const uint32_t threads : {1u, 2u, 3u, 8u}) {
    auto team = ThreadTeam::create(threads);
    ASSERT_TRUE(team.ok());
    EXPECT_EQ((*team)->threads(), threads);
    for (int repeat = 0; repeat < 300; ++repeat) {
      Counting job({2, 1, 0, 7, 1, 1, 3, 64, 0, 0, 2, 2, 2, 1, 5, threads, 0}, threads);
      (*team)->run(job);
      ASSERT_TRUE(job.complete()) << threads << " threads, run " << repeat;
    }
  }
}

// Tasks of a few nanoseconds, and narrow phases before wide ones: a thread that looks for a task while the next phase is being opened must not take one
// by the old phase's ticket and the new one's width. (It did, about once in a million phases: a task ran twice, and a suite in fifty hung.)
TEST(ThreadTeam, AThreadThatLooksWhileAPhaseOpensTakesNothingOfIt) {
  if (usable_cores() < 2) GTEST_SKIP() << "one core: the team is one thread";
  auto team = ThreadTeam::create(2);
  ASSERT_TRUE(team.ok());
  std::vector<uint32_t> widths;
  for (int i = 0; i < 4000; ++i) widths.insert(widths.end(), {2u, 9u, 3u, 5u});
  for (int repeat = 0; repeat < 250; ++repeat) {
    Counting job(widths, 2);
    (*team)->run(job);
    ASSERT_TRUE(job.complete()) << "run " << repeat;
  }
}

TEST(ThreadTeam, AJobMayBeEmptyOrOfSingleTasks) {
  auto team = ThreadTeam::create(2);
  ASSERT_TRUE(team.ok());
  for (const auto& widths : {std::vector<uint32_t>{}, {0}, {1}, {1, 1, 1}, {0, 0, 1, 0}}) {
    Counting job(widths, 2);
    (*team)->run(job);
    EXPECT_TRUE(job.complete());
  }
}

// Task 0 ends only after all others: a thread that is long about its task does not keep the others from taking the rest.
class Waiting final : public TeamJob {
 public:
  uint32_t phases() const override { return 2; }
  uint32_t tasks(uint32_t) override { return 20; }
  void run(uint32_t phase, uint32_t task, uint32_t) override {
    if (task == 0) {
      while (others_[phase].load() != 19) std::this_thread::yield();
    } else {
      others_[phase].fetch_add(1);
    }
  }

 private:
  std::atomic<uint32_t> others_[2] = {};
};

TEST(ThreadTeam, AThreadBusyWithOneTaskLeavesTheRestToTheOthers) {
  if (usable_cores() < 2) GTEST_SKIP() << "one core: the team is one thread";
  auto team = ThreadTeam::create(2);
  ASSERT_TRUE(team.ok());
  Waiting job;
  (*team)->run(job);
}

// The end must not be missed by a thread that is on its way to sleep: a team that is let go at any moment of its threads' first steps (for a few seconds where
// threads are slow).
TEST(ThreadTeam, EndsWhateverItsThreadsAreDoing) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  for (uint32_t i = 0; i < 20000 && std::chrono::steady_clock::now() < until; ++i) {
    auto team = ThreadTeam::create(2 + i % 2);
    ASSERT_TRUE(team.ok());
    for (uint32_t wait = 0; wait < i % 512 * 16; ++wait) std::atomic_signal_fence(std::memory_order_seq_cst);
    team->reset();
  }
}

}  // namespace
}  // namespace kl::cpu
