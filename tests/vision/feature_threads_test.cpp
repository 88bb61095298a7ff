// Many threads, few pictures: each is encoded once at a time, everybody gets the right rows, nothing is kept over budget.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "feature_support.h"
#include "support/no_sync_os.h"
#include "support/temp_folder.h"
#include "vision/feature_cache.h"

namespace kl {
namespace {

using test::same;
using test::some_features;
using test::some_key;

constexpr size_t kThreads = 8, kKeys = 6;

Features shared_features(uint64_t number) { return some_features(number, 30, 40); }

// How a scheduler uses the cache: begin again when what was in flight is settled.
class Waiter {
 public:
  std::function<void()> callback() {
    return [this] {
      const std::lock_guard lock(mutex_);
      ++settled_;
      changed_.notify_all();
    };
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return settled_ > 0; });
    --settled_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int settled_ = 0;
};

struct Work {
  FeatureCache& cache;
  std::array<std::atomic<int>, kKeys> encoding{};  // threads at work on each key
  std::atomic<uint64_t> encoded{0}, wrong{0}, given_up{0};

  void run(uint64_t seed, int rounds) {
    Waiter waiter;
    uint64_t random = seed;
    for (int i = 0; i < rounds; ++i) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      const uint64_t number = (random >> 33) % kKeys;
      bool give_up = (random >> 50) % 5 == 0;  // once a round
      FeatureHit hit = (random >> 40) % 4 == 0 ? cache.find_source(some_key(1000 + number)) : FeatureHit();
      while (!hit) {
        FeatureBegin begin = cache.begin(some_key(number), waiter.callback());
        if (begin.in_flight) {
          waiter.wait();
          continue;
        }
        if (begin.claim) {
          wrong += encoding[number].fetch_add(1) == 0 ? 0 : 1;  // nobody else may be at it
          Features features = shared_features(number);
          wrong += encoding[number].fetch_sub(1) == 1 ? 0 : 1;
          if (give_up) {
            give_up = false;
            ++given_up;
            continue;  // the claim goes with `begin`
          }
          begin.hit = begin.claim.publish(std::move(features));
          cache.remember(some_key(1000 + number), some_key(number));
          ++encoded;
        }
        hit = begin.hit;
      }
      wrong += same(*hit.features, shared_features(number)) ? 0 : 1;
      const FeatureCacheStats stats = cache.stats();
      wrong += stats.device_bytes <= stats.device_budget && stats.host_bytes <= stats.host_budget ? 0 : 1;
      if ((random >> 45) % 200 == 0) wrong += cache.clear().ok() ? 0 : 1;
    }
  }
};

TEST(FeatureCacheThreads, OneKeyIsEncodedByOneThreadAtATimeAndEveryoneGetsItsRows) {
  const test::TempFolder folder;
  const test::NoSyncOs no_sync;
  FeatureCache cache({.device_bytes = 12'000, .host_bytes = 12'000, .disk_bytes = 16'000, .folder = folder / "cache"});
  Work work{cache};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) threads.emplace_back([&, t] { work.run(t * 77 + 1, 400); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(work.wrong, 0u);
  EXPECT_GT(work.encoded, kKeys);
  EXPECT_GT(work.given_up, 0u);
  EXPECT_EQ(cache.stats().disk_errors, 0u);
}

TEST(FeatureCacheThreads, AHundredWhoWaitForOnePictureAreAllCalled) {
  FeatureCache cache({.folder = {}});
  FeatureBegin first = cache.begin(some_key(0));
  ASSERT_TRUE(first.claim);
  std::atomic<int> waiting{0}, right{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      Waiter waiter;
      for (int i = 0; i < 12; ++i) EXPECT_TRUE(cache.begin(some_key(0), waiter.callback()).in_flight);
      ++waiting;
      for (int i = 0; i < 12; ++i) waiter.wait();
      right += same(*cache.begin(some_key(0)).hit.features, shared_features(0)) ? 1 : 0;
    });
  }
  while (waiting < static_cast<int>(kThreads)) std::this_thread::yield();
  (void)first.claim.publish(shared_features(0));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, static_cast<int>(kThreads));
  EXPECT_EQ(cache.stats().misses, 1u) << "encoded once";
}

}  // namespace
}  // namespace kl
