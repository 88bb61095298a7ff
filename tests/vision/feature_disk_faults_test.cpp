// The disk tier when the disk does not do its part: no lookup fails, nothing wrong is found, nothing is left behind (B2, B3, B7).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/file.h"
#include "feature_support.h"
#include "support/faulty_os.h"
#include "support/no_sync_os.h"
#include "support/temp_folder.h"
#include "vision/feature_cache.h"
#include "vision/feature_disk.h"

namespace kl {
namespace {

using test::FaultyOs;
using test::same;
using test::some_features;
using test::some_key;
using test::TempFolder;

constexpr uint32_t kRows = 10, kWidth = 16;

Features features_of(uint64_t number) { return some_features(number, kRows, kWidth); }

// The rows of a key, encoded when they are not found; true when they are right.
bool ask(FeatureCache& cache, uint64_t number) {
  FeatureBegin begin = cache.begin(some_key(number));
  if (!begin.hit && !begin.claim) return false;
  const FeatureHit hit = begin.claim ? begin.claim.publish(features_of(number)) : begin.hit;
  cache.flush();  // the fault layer counts one thread's calls
  return same(*hit.features, features_of(number));
}

// Everything the cache does with a disk, twice over a restart. Room for three entries.
void use(const std::string& folder) {
  const FeatureCacheOptions options{.device_bytes = 0, .host_bytes = 0, .disk_bytes = 3 * 900, .folder = folder};
  for (int start = 0; start < 2; ++start) {
    FeatureCache cache(options);
    for (const uint64_t number : {0, 1, 2, 0, 3}) {
      ASSERT_TRUE(ask(cache, number)) << number;
      cache.remember(some_key(1000 + number), some_key(number));
      cache.flush();
      const FeatureHit known = cache.find_source(some_key(1000 + number));
      ASSERT_TRUE(!known || same(*known.features, features_of(number)));
      ASSERT_LE(cache.stats().disk_bytes, options.disk_bytes);
    }
    if (start == 1) (void)cache.clear();
  }
}

constexpr int kErrors[] = {-EIO, -ENOSPC, -EINTR, -EMFILE, -EACCES, -EAGAIN, -EROFS};

TEST(FeatureDiskFaults, EverySystemCallMayFailAndEveryPictureIsStillAnswered) {
  size_t calls = 0;
  {
    const TempFolder folder;
    const FaultyOs counting;
    use(folder / "cache");
    calls = counting.calls();
  }
  ASSERT_GT(calls, 150u);
  size_t cases = 0;
  for (size_t n = 0; n < calls; ++n) {
    // Each call fails alone; then with all after it, or it does half its work.
    for (const FaultyOs::Kind kind :
         {FaultyOs::Kind::error, n % 2 == 0 ? FaultyOs::Kind::error_from_then_on : FaultyOs::Kind::short_count}) {
      const int error = kErrors[cases++ % std::size(kErrors)];
      const TempFolder folder;
      {
        const FaultyOs faulty(n, error, kind);
        use(folder / "cache");
        ASSERT_EQ(faulty.open_handles(), 0) << "call " << n;
        if (HasFatalFailure()) FAIL() << "call " << n << " of " << calls << ", error " << error;
      }
      const test::NoSyncOs no_sync;
      // With a disk that works again everything works again, and what could not be removed goes.
      FeatureCache cache({.device_bytes = 0, .host_bytes = 0, .folder = folder / "cache"});
      ASSERT_TRUE(ask(cache, 0) && ask(cache, 0)) << "call " << n;
      ASSERT_EQ(cache.stats().disk_errors, 0u) << "call " << n << ", error " << error;
      ASSERT_TRUE(cache.clear().ok());
    }
  }
  std::printf("%zu faults at %zu calls\n", cases, calls);
}

TEST(FeatureDiskFaults, AnErrorIsCountedAndIsAMiss) {
  const TempFolder folder;
  {
    FeatureCache cache({.folder = folder / "cache"});
    ASSERT_TRUE(ask(cache, 0));
  }
  FeatureCache cache({.folder = folder / "cache"});
  {
    const FaultyOs faulty(0, -EIO);  // the open of the entry
    const FeatureBegin begin = cache.begin(some_key(0));
    EXPECT_TRUE(begin.claim && !begin.hit);
    EXPECT_EQ(faulty.names().front(), std::string("open_entry"));
  }
  EXPECT_EQ(cache.stats().disk_errors, 1u);
  EXPECT_EQ(cache.stats().misses, 1u);
  EXPECT_EQ(cache.begin(some_key(0)).hit.tier, FeatureTier::disk) << "found when the disk answers";
}

TEST(FeatureDiskFaults, AFolderThatCannotBeUsedTurnsTheDiskTierOff) {
  const TempFolder folder;
  std::ofstream(folder / "file") << "x";
  FeatureCache cache({.folder = folder / "file/cache"});
  EXPECT_EQ(cache.stats().disk_errors, 1u);
  EXPECT_EQ(cache.stats().disk_budget, 0u);
  EXPECT_TRUE(ask(cache, 0));
  EXPECT_EQ(cache.begin(some_key(0)).hit.tier, FeatureTier::device);
}

// A disk with so many bytes left: writes take what fits and then fail.
struct FullDisk {
  explicit FullDisk(uint64_t bytes) {
    left() = bytes;
    static const OsTable kTable = [] {
      OsTable table = posix_os();
      table.write = [](int fd, const void* from, size_t size) -> int64_t {
        if (left() == 0) return -ENOSPC;
        const int64_t written = posix_os().write(fd, from, std::min<uint64_t>(size, left()));
        left() -= written > 0 ? static_cast<uint64_t>(written) : 0;
        return written;
      };
      table.sync = [](int) { return 0; };
      return table;
    }();
    install_os(&kTable);
  }
  ~FullDisk() { install_os(nullptr); }
  static uint64_t& left() {
    static uint64_t bytes = 0;
    return bytes;
  }
};

TEST(FeatureDiskFaults, ADiskThatIsFullAfterAnyByteLeavesNothingHalfWritten) {
  const uint64_t entry = 76 + 12 + kRows * kWidth * sizeof(float) + 16;
  for (uint64_t room = 0; room <= 3 * entry; room += 13) {
    const TempFolder folder;
    const FullDisk disk(room);
    {
      FeatureCache cache({.device_bytes = 0, .host_bytes = 0, .folder = folder / "cache"});
      for (uint64_t number = 0; number < 4; ++number) ASSERT_TRUE(ask(cache, number));
      EXPECT_EQ(cache.stats().disk_errors, 4 - room / entry);
    }
    const std::vector<std::string> names = *list_folder(folder / "cache/features");
    ASSERT_EQ(names.size(), room / entry) << "whole entries, nothing else: the space of the others is free again";
    FeatureCache cache({.device_bytes = 0, .host_bytes = 0, .folder = folder / "cache"});
    for (uint64_t number = 0; number < 4; ++number) {
      const FeatureBegin begin = cache.begin(some_key(number));
      ASSERT_EQ(begin.hit.tier, number < room / entry ? FeatureTier::disk : FeatureTier::none);
      ASSERT_TRUE(!begin.hit || same(*begin.hit.features, features_of(number)));
    }
  }
}

class AlteredEntry : public ::testing::Test {
 protected:
  void SetUp() override {
    disk_ = *FeatureDisk::open({folder_ / "cache", 1 << 20, 100});
    ASSERT_TRUE(disk_->write(features_of(0)).ok());
    ASSERT_TRUE(disk_->write_source(some_key(1000), some_key(0)).ok());
    rows_ = folder_ / "cache/features/" + some_key(0).hex();
    source_ = folder_ / "cache/feature_sources/" + some_key(1000).hex();
  }
  static std::string content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void put(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  TempFolder folder_;
  std::unique_ptr<FeatureDisk> disk_;
  std::string rows_, source_;
};

TEST_F(AlteredEntry, EveryFlippedByteIsAMissAndTheEntryGoes) {
  const std::string good = content(rows_);
  ASSERT_EQ(good.size(), 76u + 12 + kRows * kWidth * 4 + 16);
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (at % 2 == 0 ? 0xFF : 1 << at / 2 % 8));
    put(rows_, bad);
    ASSERT_FALSE(disk_->read(some_key(0)).ok()) << at;
    const bool version = at >= 8 && at < 12;  // another version's entry is left to that version
    ASSERT_EQ(std::filesystem::exists(rows_), version) << at;
  }
  EXPECT_EQ(disk_->errors(), good.size());
  put(rows_, good);
  EXPECT_TRUE(same(*disk_->read(some_key(0)), features_of(0)));
}

TEST_F(AlteredEntry, EveryFlippedByteOfASourceIsAMiss) {
  const std::string good = content(source_);
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(~bad[at]);
    put(source_, bad);
    ASSERT_FALSE(disk_->read_source(some_key(1000)).ok()) << at;
    ASSERT_FALSE(std::filesystem::exists(source_)) << at;
  }
  put(source_, good);
  EXPECT_EQ(*disk_->read_source(some_key(1000)), some_key(0));
}

TEST_F(AlteredEntry, EveryTruncationAndEveryAdditionIsAMiss) {
  const std::string good = content(rows_);
  for (size_t length = 0; length < good.size(); ++length) {
    put(rows_, good.substr(0, length));
    ASSERT_EQ(disk_->read(some_key(0)).status().code(), Code::corrupt) << length;
  }
  put(rows_, good + '\0');
  EXPECT_FALSE(disk_->read(some_key(0)).ok());
}

TEST_F(AlteredEntry, AnotherKeysEntryUnderThisNameIsAMiss) {
  ASSERT_TRUE(disk_->write(features_of(1)).ok());
  std::filesystem::rename(folder_ / "cache/features/" + some_key(1).hex(), rows_);
  EXPECT_EQ(disk_->read(some_key(0)).status().code(), Code::corrupt);
  ASSERT_TRUE(disk_->write_source(some_key(1001), some_key(1)).ok());
  std::filesystem::rename(folder_ / "cache/feature_sources/" + some_key(1001).hex(), source_);
  EXPECT_FALSE(disk_->read_source(some_key(1000)).ok());
}

TEST_F(AlteredEntry, AFileThatVanishedIsAMissAndNoError) {
  std::filesystem::remove(rows_);
  EXPECT_EQ(disk_->read(some_key(0)).status().code(), Code::not_found);
  EXPECT_EQ(disk_->errors(), 0u);
  EXPECT_FALSE(disk_->contains(some_key(0)));
}

}  // namespace
}  // namespace kl
