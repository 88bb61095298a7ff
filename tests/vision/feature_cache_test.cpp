// The cache's tiers: where rows are found, what is forgotten, and that nothing is kept beyond its budget or after clear().
#include "vision/feature_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <thread>

#include "core/file.h"
#include "core/os.h"
#include "feature_support.h"
#include "support/no_sync_os.h"
#include "support/temp_folder.h"

namespace kl {
namespace {

using test::same;
using test::some_features;
using test::some_key;
using test::TempFolder;

constexpr uint64_t kEntry = sizeof(Features) + 100 * 64 * sizeof(float) + sizeof(FeatureBlock);  // what big(n) takes in memory

Features big(uint64_t number) { return some_features(number, 100, 64); }

// Encodes: a claim must come.
FeatureHit encode(FeatureCache& cache, uint64_t number) {
  FeatureBegin begin = cache.begin(some_key(number));
  EXPECT_TRUE(begin.claim) << number;
  EXPECT_FALSE(begin.hit) << number;
  return begin.claim.publish(big(number));
}

FeatureTier tier_of(FeatureCache& cache, uint64_t number) {
  const FeatureBegin begin = cache.begin(some_key(number));
  EXPECT_TRUE(!begin.hit || same(*begin.hit.features, big(number)));
  return begin.hit.tier;
}

TEST(FeatureCache, RowsMoveDownAsOthersAreUsedAndUpWhenTheyAreUsedAgain) {
  FeatureCache cache({.device_bytes = 2 * kEntry, .host_bytes = 3 * kEntry, .folder = {}});
  for (uint64_t i = 0; i < 5; ++i) (void)encode(cache, i);
  EXPECT_EQ(cache.stats().device_bytes, 2 * kEntry);
  EXPECT_EQ(cache.stats().host_bytes, 3 * kEntry);
  EXPECT_EQ(cache.stats().entries, 5u) << "no entry is held twice";
  EXPECT_EQ(cache.stats().evictions, 0u);
  EXPECT_EQ(tier_of(cache, 4), FeatureTier::device);
  EXPECT_EQ(tier_of(cache, 0), FeatureTier::host);
  EXPECT_EQ(tier_of(cache, 0), FeatureTier::device) << "it moved up";
  EXPECT_EQ(tier_of(cache, 3), FeatureTier::host) << "and took the place of what was used longest ago";
  (void)encode(cache, 5);
  EXPECT_EQ(cache.stats().evictions, 1u);
  EXPECT_EQ(tier_of(cache, 1), FeatureTier::none) << "used longest ago of all";
  const FeatureCacheStats stats = cache.stats();
  EXPECT_EQ(stats.device_hits, 2u);
  EXPECT_EQ(stats.host_hits, 2u);
  EXPECT_EQ(stats.misses, 7u);
}

TEST(FeatureCache, NoTierIsEverOverItsBudget) {
  const TempFolder folder;
  const test::NoSyncOs no_sync;
  const uint64_t disk_budget = 4 * kEntry;
  FeatureCache cache({.device_bytes = 3 * kEntry + 5, .host_bytes = 2 * kEntry + 7, .disk_bytes = disk_budget, .folder = folder / "cache"});
  std::vector<std::shared_ptr<const Features>> used;
  uint64_t random = 1;
  for (int i = 0; i < 2000; ++i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    const uint64_t number = (random >> 33) % 12;
    FeatureBegin begin = cache.begin(some_key(number));
    const FeatureHit hit =
        begin.claim ? begin.claim.publish(some_features(number, 20 + static_cast<uint32_t>(number) * 15, 64)) : begin.hit;
    ASSERT_TRUE(hit.features != nullptr && hit.features->key == some_key(number));
    if ((random >> 20) % 3 == 0) used.push_back(hit.features);
    if (used.size() > 4) used.erase(used.begin() + static_cast<ptrdiff_t>((random >> 40) % used.size()));
    const FeatureCacheStats stats = cache.stats();
    ASSERT_LE(stats.device_bytes, stats.device_budget);
    ASSERT_LE(stats.host_bytes, stats.host_budget);
    ASSERT_LE(stats.disk_bytes, stats.disk_budget);
    if (i % 100 == 0) {
      cache.flush();
      uint64_t on_disk = 0;
      for (const auto& file : std::filesystem::directory_iterator(folder / "cache/features")) on_disk += file.file_size();
      ASSERT_LE(on_disk, disk_budget);
    }
  }
  EXPECT_GT(cache.stats().evictions, 100u);
  EXPECT_EQ(cache.stats().disk_errors, 0u);
}

TEST(FeatureCache, WhatIsInUseIsNotForgotten) {
  FeatureCache cache({.device_bytes = 2 * kEntry, .host_bytes = 0, .folder = {}});
  const FeatureHit first = encode(cache, 0);
  for (uint64_t i = 1; i < 6; ++i) (void)encode(cache, i);
  EXPECT_EQ(tier_of(cache, 0), FeatureTier::device) << "pinned though used longest ago";
  EXPECT_EQ(tier_of(cache, 5), FeatureTier::device);
  EXPECT_EQ(tier_of(cache, 4), FeatureTier::none);
}

TEST(FeatureCache, WhatDoesNotFitBesidePinnedEntriesIsFoundWhileItIsUsedAndGoesThen) {
  FeatureCache cache({.device_bytes = kEntry, .host_bytes = kEntry, .folder = {}});
  const FeatureHit pinned = encode(cache, 0);
  const FeatureHit also_pinned = encode(cache, 1);
  {
    const FeatureHit beyond = encode(cache, 2);
    EXPECT_EQ(cache.stats().device_bytes + cache.stats().host_bytes, 2 * kEntry);
    const FeatureBegin again = cache.begin(some_key(2));
    EXPECT_EQ(again.hit.features, beyond.features) << "found, and not a second copy";
  }
  EXPECT_EQ(tier_of(cache, 2), FeatureTier::none);
  EXPECT_EQ(cache.stats().entries, 2u);
}

TEST(FeatureCache, BudgetsOfNothingKeepWhatIsInUseOnly) {
  FeatureCache cache({.device_bytes = 0, .host_bytes = 0, .disk_bytes = 0, .folder = {}});
  {
    const FeatureHit hit = encode(cache, 0);
    EXPECT_EQ(cache.begin(some_key(0)).hit.features, hit.features);
  }
  EXPECT_FALSE(cache.begin(some_key(0)).hit);
}

TEST(FeatureCache, TheDiskServesTheNextStartAndTheHostFromThenOn) {
  const TempFolder folder;
  const test::NoSyncOs no_sync;
  const FeatureCacheOptions options{.device_bytes = 0, .host_bytes = 10 * kEntry, .folder = folder / "cache"};
  {
    FeatureCache cache(options);
    for (uint64_t i = 0; i < 3; ++i) (void)encode(cache, i);
  }  // writes what waits
  FeatureCache cache(options);
  EXPECT_EQ(cache.stats().entries, 3u);
  EXPECT_EQ(tier_of(cache, 1), FeatureTier::disk);
  EXPECT_EQ(tier_of(cache, 1), FeatureTier::host);
  EXPECT_EQ(cache.stats().entries, 3u) << "the same one on disk and in memory";
  EXPECT_EQ(cache.stats().disk_hits, 1u);
  EXPECT_EQ(tier_of(cache, 9), FeatureTier::none);
}

TEST(FeatureCache, AKnownFileSparesTheDecodeAlsoAfterARestart) {
  const TempFolder folder;
  const test::NoSyncOs no_sync;
  const FeatureCacheOptions options{.folder = folder / "cache"};
  const FeatureKey file = some_key(1000);
  const FeatureKey same_pixels = some_key(1001);
  {
    FeatureCache cache(options);
    EXPECT_FALSE(cache.find_source(file));
    (void)encode(cache, 1);
    cache.remember(file, some_key(1));
    cache.remember(same_pixels, some_key(1));
    EXPECT_TRUE(same(*cache.find_source(file).features, big(1)));
    EXPECT_EQ(cache.stats().decodes_spared, 1u);
  }
  FeatureCache cache(options);
  const FeatureHit hit = cache.find_source(file);
  ASSERT_TRUE(hit);
  EXPECT_TRUE(same(*hit.features, big(1)));
  EXPECT_EQ(hit.tier, FeatureTier::disk);
  EXPECT_EQ(cache.find_source(same_pixels).tier, FeatureTier::device);
  EXPECT_EQ(cache.stats().decodes_spared, 2u);
  EXPECT_FALSE(cache.find_source(some_key(1002)));
}

// The writer is held in the middle of an entry while its file is remembered.
TEST(FeatureCache, AFileRememberedWhileItsEntryIsBeingWrittenIsKnownAfterARestart) {
  static std::atomic<bool> inside, go_on;
  inside = go_on = false;
  OsTable held = posix_os();
  held.rename = [](const char* from, const char* to) {
    inside = true;
    while (!go_on) std::this_thread::yield();
    return posix_os().rename(from, to);
  };
  const TempFolder folder;
  const FeatureCacheOptions options{.folder = folder / "cache"};
  {
    FeatureCache cache(options);
    install_os(&held);
    (void)encode(cache, 1);
    while (!inside) std::this_thread::yield();
    cache.remember(some_key(1000), some_key(1));
    go_on = true;
    cache.flush();
    install_os(nullptr);
  }
  FeatureCache cache(options);
  EXPECT_EQ(cache.find_source(some_key(1000)).tier, FeatureTier::disk);
}

TEST(FeatureCache, TheMemoIsBoundedAndOnlyNamesWhatIsHeld) {
  const TempFolder folder;
  const test::NoSyncOs no_sync;
  FeatureCache cache({.folder = folder / "cache", .memo_entries = 10});
  cache.remember(some_key(2000), some_key(1));
  (void)encode(cache, 1);
  EXPECT_FALSE(cache.find_source(some_key(2000))) << "when it was remembered nothing was held";
  for (uint64_t i = 0; i < 30; ++i) cache.remember(some_key(1000 + i), some_key(1));
  cache.flush();
  EXPECT_LE(list_folder(folder / "cache/feature_sources")->size(), 10u);
  EXPECT_TRUE(cache.find_source(some_key(1029)));
  EXPECT_FALSE(cache.find_source(some_key(1000)));
}

TEST(FeatureCache, ClearForgetsEverythingAndLeavesWhatIsInUseToItsUsers) {
  const TempFolder folder;
  const test::NoSyncOs no_sync;
  FeatureCache cache({.folder = folder / "cache"});
  const FeatureHit used = encode(cache, 0);
  for (uint64_t i = 1; i < 5; ++i) (void)encode(cache, i);
  cache.remember(some_key(1000), some_key(1));
  cache.flush();
  (void)encode(cache, 5);  // perhaps not written yet
  ASSERT_TRUE(cache.clear().ok());
  EXPECT_TRUE(list_folder(folder / "cache/features")->empty());
  EXPECT_TRUE(list_folder(folder / "cache/feature_sources")->empty());
  const FeatureCacheStats stats = cache.stats();
  EXPECT_EQ(stats.entries + stats.device_bytes + stats.host_bytes + stats.disk_bytes, 0u);
  EXPECT_TRUE(same(*used.features, big(0)));
  EXPECT_FALSE(cache.find_source(some_key(1000)));
  for (uint64_t i = 0; i < 6; ++i) EXPECT_EQ(tier_of(cache, i), FeatureTier::none) << i;
  (void)encode(cache, 3);
  EXPECT_EQ(tier_of(cache, 3), FeatureTier::device) << "and it goes on";
}

TEST(FeatureCache, WhatWasBeingEncodedDuringClearIsNotRemembered) {
  const TempFolder folder;
  FeatureCache cache({.folder = folder / "cache"});
  FeatureBegin begin = cache.begin(some_key(0));
  ASSERT_TRUE(begin.claim);
  ASSERT_TRUE(cache.clear().ok());
  EXPECT_TRUE(same(*begin.claim.publish(big(0)).features, big(0)));
  cache.remember(some_key(1000), some_key(0));
  cache.flush();
  EXPECT_EQ(tier_of(cache, 0), FeatureTier::none);
  EXPECT_FALSE(cache.find_source(some_key(1000)));
  EXPECT_TRUE(list_folder(folder / "cache/features")->empty());
  EXPECT_TRUE(list_folder(folder / "cache/feature_sources")->empty());
}

TEST(FeatureCache, ClearRemovesWhatAnEarlierRunLeftOnTheDiskThoughTheDiskIsOffNow) {
  const TempFolder folder;
  {
    FeatureCache cache({.folder = folder / "cache"});
    (void)encode(cache, 0);
  }
  FeatureCache cache({.disk_bytes = 0, .folder = folder / "cache"});
  EXPECT_EQ(tier_of(cache, 0), FeatureTier::none);
  EXPECT_EQ(list_folder(folder / "cache/features")->size(), 1u);
  EXPECT_TRUE(cache.clear().ok());
  EXPECT_TRUE(list_folder(folder / "cache/features")->empty());
}

TEST(FeatureCache, OneKeyInWorkIsEncodedOnceAndWhoComesMeanwhileIsCalled) {
  FeatureCache cache({.folder = {}});
  FeatureBegin first = cache.begin(some_key(0));
  ASSERT_TRUE(first.claim);
  int called = 0;
  const FeatureBegin second = cache.begin(some_key(0), [&] { ++called; });
  EXPECT_TRUE(second.in_flight && !second.claim && !second.hit);
  EXPECT_TRUE(cache.begin(some_key(0)).in_flight) << "without a callback too";
  EXPECT_TRUE(cache.begin(some_key(1)).claim) << "another key is another matter";
  EXPECT_EQ(called, 0);
  (void)first.claim.publish(big(0));
  EXPECT_EQ(called, 1);
  EXPECT_FALSE(first.claim) << "used up";
  EXPECT_EQ(tier_of(cache, 0), FeatureTier::device);
}

TEST(FeatureCache, AClaimThatIsGivenUpGoesToWhoAsksNext) {
  FeatureCache cache({.folder = {}});
  bool called = false;
  {
    const FeatureBegin first = cache.begin(some_key(0));
    EXPECT_TRUE(cache.begin(some_key(0), [&] { called = true; }).in_flight);
  }
  EXPECT_TRUE(called);
  FeatureBegin next = cache.begin(some_key(0));
  ASSERT_TRUE(next.claim);
  FeatureClaim moved = std::move(next.claim);
  EXPECT_TRUE(cache.begin(some_key(0)).in_flight);
  moved = FeatureClaim();  // gives up
  EXPECT_TRUE(cache.begin(some_key(0)).claim);
}

// Memory of its own, which refuses when told to.
class FakeDevice : public DeviceTier {
 public:
  uint64_t store(const Features& features) override {
    if (refuse) return 0;
    rows[++last] = features.values;
    return last;
  }
  void drop(uint64_t handle) override { EXPECT_EQ(rows.erase(handle), 1u) << "dropped once and only what was stored"; }
  std::map<uint64_t, std::vector<float>> rows;
  uint64_t last = 0;
  bool refuse = false;
};

TEST(FeatureCacheDevice, RowsAreCopiedOnceFoundThereAndDroppedByItsThread) {
  constexpr uint64_t kRows = 100 * 64 * sizeof(float);
  FakeDevice device;
  {
    FeatureCache cache({.device_bytes = 2 * kRows, .host_bytes = 2 * kEntry, .folder = {}, .device_tier = &device});
    const FeatureHit hit = encode(cache, 0);
    EXPECT_EQ(hit.device, nullptr);
    std::shared_ptr<const DeviceRows> rows = cache.rows_on_device(hit);
    ASSERT_TRUE(rows != nullptr);
    EXPECT_EQ(std::memcmp(device.rows[rows->handle].data(), hit.features->values.data(), kRows), 0);
    EXPECT_EQ(cache.rows_on_device(hit), rows) << "one copy";
    EXPECT_EQ(cache.begin(some_key(0)).hit.device, rows);
    for (uint64_t i = 1; i < 4; ++i) EXPECT_TRUE(cache.rows_on_device(encode(cache, i)) != nullptr);
    EXPECT_EQ(cache.stats().device_bytes, 2 * kRows);
    EXPECT_EQ(device.rows.size(), 2u) << "room is made on the device before it is used";
    EXPECT_EQ(tier_of(cache, 1), FeatureTier::none);
    EXPECT_TRUE(device.rows.contains(rows->handle)) << "pinned";

    device.refuse = true;
    EXPECT_EQ(cache.rows_on_device(encode(cache, 9)), nullptr);
    device.refuse = false;
    EXPECT_EQ(cache.stats().device_bytes, kRows) << "what made room is gone, nothing came";

    ASSERT_TRUE(cache.clear().ok());
    EXPECT_EQ(cache.stats().device_bytes, 0u);
    cache.collect();
    EXPECT_EQ(device.rows.size(), 1u) << "in use";
    rows.reset();
    cache.collect();
    EXPECT_TRUE(device.rows.empty());
    EXPECT_TRUE(cache.rows_on_device(hit) != nullptr) << "forgotten, yet its user may go on";
    EXPECT_EQ(cache.stats().device_bytes, 0u);
    (void)cache.rows_on_device(encode(cache, 7));
  }
  EXPECT_TRUE(device.rows.empty()) << "the cache drops what it holds at its end";
}

TEST(FeatureCacheDevice, RowsThatOnlyTheDeviceHoldsAreFoundWithTheirShape) {
  FakeDevice device;
  FeatureCache cache({.device_bytes = 10 * kEntry, .host_bytes = kEntry, .folder = {}, .device_tier = &device});
  for (uint64_t i = 0; i < 2; ++i) (void)cache.rows_on_device(encode(cache, i));
  const FeatureBegin found = cache.begin(some_key(0));
  EXPECT_EQ(found.hit.tier, FeatureTier::device);
  ASSERT_TRUE(found.hit.features != nullptr && found.hit.device != nullptr);
  EXPECT_TRUE(found.hit.features->values.empty()) << "the host holds another picture's";
  EXPECT_EQ(found.hit.features->rows, 100u);
  EXPECT_EQ(found.hit.features->blocks.size(), 1u);
  const FeatureBegin other = cache.begin(some_key(1));
  EXPECT_TRUE(same(*other.hit.features, big(1))) << "held by both";
  EXPECT_EQ(cache.stats().entries, 2u);
}

}  // namespace
}  // namespace kl
