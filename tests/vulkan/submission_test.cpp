// Submissions keep to their time, on a device that exists in arithmetic only and on the real one with a clock of the test's.
#include "engine/model_runner.h"
#include "support/forwarding_device.h"
#include "vulkan/driver.h"
#include "vulkan/recording.h"
#include "weights/gguf.h"

namespace kl::vulkan {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// A step on a device whose segments take `each`: how long its longest submission was.
nanoseconds longest(SubmissionBudget& budget, uint32_t segments, nanoseconds each) {
  nanoseconds most{0};
  for (uint32_t at = 0; at < segments; at += budget.at_once()) most = std::max(most, std::min(budget.at_once(), segments - at) * each);
  budget.measured(segments, segments, segments * each);
  return most;
}

TEST(SubmissionBudget, HoldsFromTheSecondStepOnWhateverADeviceTakes) {
  for (const nanoseconds each : {nanoseconds(1), nanoseconds(microseconds(40)), nanoseconds(milliseconds(1)), nanoseconds(milliseconds(7)),
                                 nanoseconds(milliseconds(25)), nanoseconds(milliseconds(50))}) {
    SubmissionBudget budget;
    EXPECT_EQ(longest(budget, 31, each), 4 * each) << "the first one knows nothing";
    for (int step = 0; step < 20; ++step) EXPECT_LE(longest(budget, 31, each), SubmissionBudget::kTime);
    const auto fits = std::min<int64_t>(31, nanoseconds(SubmissionBudget::kTime) / each);
    EXPECT_EQ(budget.at_once(), fits) << "and no more submissions than it takes";
  }
}

TEST(SubmissionBudget, ASegmentThatIsLongerByItselfGoesAlone) {
  SubmissionBudget budget;
  (void)longest(budget, 31, milliseconds(300));
  EXPECT_EQ(budget.at_once(), 1u);
  EXPECT_EQ(longest(budget, 31, milliseconds(300)), milliseconds(300));
}

TEST(SubmissionBudget, ADeviceThatSlowsDownIsNoticedAtOnceAndOneThatSpeedsUpByDoubling) {
  SubmissionBudget budget;
  for (int step = 0; step < 10; ++step) (void)longest(budget, 31, milliseconds(1));
  EXPECT_EQ(budget.at_once(), 31u);
  (void)longest(budget, 31, milliseconds(20));  // others use it, or it is hot
  EXPECT_EQ(budget.at_once(), 2u);
  std::vector<uint32_t> grown;
  for (int step = 0; step < 5; ++step) {
    (void)longest(budget, 31, milliseconds(1));
    grown.push_back(budget.at_once());
  }
  EXPECT_EQ(grown, (std::vector<uint32_t>{4, 8, 16, 31, 31}));
}

TEST(SubmissionBudget, PartsOfAStepAreMeasuredToo) {
  SubmissionBudget budget;
  budget.measured(0, 31, milliseconds(5));
  EXPECT_EQ(budget.at_once(), SubmissionBudget::kFirst);
  budget.measured(1, 31, milliseconds(24));
  EXPECT_EQ(budget.at_once(), 2u);
  budget.measured(1, 1, nanoseconds(0));
  EXPECT_EQ(budget.at_once(), 1u) << "a recording of one segment";
}

// Passes everything on, and notes what is made and submitted.
class Spy final : public ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;
  Result<std::unique_ptr<Memory>> allocate(uint64_t bytes, MemoryUse use) override {
    ++made;
    return inner_->allocate(bytes, use);
  }
  Result<std::unique_ptr<Recording>> record(const Plan& plan, const Bindings& bindings) override {
    ++made;
    return inner_->record(plan, bindings);
  }
  Result<Ticket> submit(Recording& recording, uint32_t first, uint32_t last) override {
    at_once.push_back(static_cast<VulkanRecording&>(recording).at_once());
    segments = recording.segments();
    return inner_->submit(recording, first, last);
  }

  uint64_t made = 0;
  std::vector<uint32_t> at_once;
  uint32_t segments = 0;
};

struct Opened {
  std::unique_ptr<Device> own;
  std::unique_ptr<Spy> device;
  std::unique_ptr<ModelRunner> runner;
  SequenceId sequence = 0;
  uint32_t length = 0;

  explicit Opened(std::unique_ptr<Device> opened) : Opened(*opened) { own = std::move(opened); }
  explicit Opened(Device& shared) : device(std::make_unique<Spy>(shared)) {
    auto file = Gguf::open(KL_TEST_DATA "/data/stories260K.gguf");
    EXPECT_TRUE(file.ok());
    RunnerOptions options;
    options.context = 256;
    options.max_rows = 64;
    auto loaded = ModelRunner::load(*file, *device, options, {}, {});
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    runner = std::move(*loaded);
    sequence = runner->cache().create_sequence(256);
  }
  Status step(uint32_t rows) {
    const std::vector<int32_t> tokens(rows, 5);
    StepBatch batch;
    KL_ASSIGN(const auto copies, runner->cache().reserve(sequence, rows));
    batch.copies.assign(copies.begin(), copies.end());
    batch.sequences.push_back({sequence, tokens, length, 1});
    KL_TRY(runner->run(batch).status());
    length += rows;
    return runner->cache().commit(sequence, rows);
  }
};

// The steady clock of a device on which a step of n segments takes n times what the test says.
TEST(VulkanDevice, SubmissionsFollowTheClock) {
  KL_VULKAN_OR_SKIP(other);
  const auto now = std::make_shared<std::chrono::steady_clock::time_point>();
  const auto tick = std::make_shared<nanoseconds>(0);  // between two looks: submission and wait
  auto opened = open_vulkan({.clock = [now, tick] { return *now += *tick; }});
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  Opened o(std::move(*opened));
  ASSERT_NE(o.runner, nullptr);
  ASSERT_TRUE(o.step(1).ok());
  const uint32_t segments = o.device->segments;
  ASSERT_GE(segments, 5u);
  const auto next = [&](nanoseconds each) {
    *tick = segments * each;
    EXPECT_TRUE(o.step(1).ok());
    return o.device->at_once.back();
  };
  (void)next(milliseconds(25));
  EXPECT_EQ(next(milliseconds(25)), 2u);
  EXPECT_EQ(next(milliseconds(60)), 2u);
  EXPECT_EQ(next(milliseconds(1)), 1u);
  EXPECT_EQ(next(milliseconds(1)), 2u);
  EXPECT_EQ(next(milliseconds(1)), 4u);
  EXPECT_EQ(next(milliseconds(1)), std::min(8u, segments));
}

TEST(VulkanDevice, NothingIsMadeAfterAModelIsOpened) {
  KL_VULKAN_OR_SKIP(device);
  Opened o(*device);
  ASSERT_NE(o.runner, nullptr);
  const uint64_t made = o.device->made;
  for (const uint32_t rows : {1u, 2u, 4u, 5u, 8u, 9u, 17u, 33u, 64u, 1u}) EXPECT_TRUE(o.step(rows).ok()) << rows;
  EXPECT_EQ(o.device->made, made);
}

}  // namespace
}  // namespace kl::vulkan
