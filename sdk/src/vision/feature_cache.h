// Encoded pictures, remembered in three tiers with a byte budget each: the device's memory, the host's, the disk. Each tier forgets what
// was used longest ago.
//
//   device  when `device_tier` is null the host addresses the device's memory: rows held here are not held by the host tier, what leaves moves there.
//           With a device_tier the rows are copied to the device, by the thread that owns it (rows_on_device, collect).
//   host    what was encoded or read from the disk.
//   disk    everything that was encoded, written by a thread of the cache (feature_disk.h); an entry found there is held by the host from then on.
//
// Who holds a FeatureHit pins its entry: it counts against the budget and is not forgotten. What does not fit beside pinned entries is held
// by its users only, is found as long as they hold it, and goes when they let go. No lookup fails: what the disk refuses is a miss and
// counted.
//
// All calls are thread-safe unless they say otherwise. begin() and find_source() may read a file; call them from a thread that may wait for
// the disk.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/status.h"
#include "vision/features.h"

namespace kl {

enum class FeatureTier : uint8_t { none = 0, device = 1, host = 2, disk = 3 };  // the numbers of kl_feature_tier

// Memory that the host does not address. Called only inside rows_on_device(), collect() and the cache's destructor, without the cache's
// lock.
class DeviceTier {
 public:
  virtual ~DeviceTier() = default;
  // Copies features.values [rows width] to the device. A handle other than 0; 0: the device refuses.
  virtual uint64_t store(const Features& features) = 0;
  virtual void drop(uint64_t handle) = 0;
};

// Rows on the device; pinned there as long as a pointer to this lives.
struct DeviceRows {
  uint64_t handle = 0;
  virtual ~DeviceRows() = default;
};

struct FeatureHit {
  // Null: no hit. values is empty when the rows are on the device only (never with a null device_tier); every other field is there.
  std::shared_ptr<const Features> features;
  std::shared_ptr<const DeviceRows> device;  // null unless a device_tier holds the rows
  FeatureTier tier = FeatureTier::none;      // where the rows were found
  explicit operator bool() const { return features != nullptr; }
};

struct FeatureCacheOptions {
  uint64_t device_bytes = uint64_t{64} << 20, host_bytes = uint64_t{256} << 20, disk_bytes = uint64_t{1} << 30;  // 0: no such tier
  std::string folder;                 // cache_dir; entries are in <folder>/features and <folder>/feature_sources. Empty: no disk tier
  uint32_t memo_entries = 4096;       // pictures' files whose keys are remembered, in memory and on disk each
  DeviceTier* device_tier = nullptr;  // must outlive the cache
};

// The fields of kl_feature_cache_stats.
struct FeatureCacheStats {
  uint64_t device_bytes = 0, host_bytes = 0, disk_bytes = 0;
  uint64_t device_budget = 0, host_budget = 0, disk_budget = 0;
  uint64_t device_hits = 0, host_hits = 0, disk_hits = 0, misses = 0;
  uint64_t entries = 0, evictions = 0;
  uint64_t disk_errors = 0;
  uint64_t decodes_spared = 0;
};

class FeatureCache;

// The right and duty to encode one key: publish() or let it go. The cache must outlive it.
class FeatureClaim {
 public:
  FeatureClaim() = default;
  FeatureClaim(FeatureClaim&& other) noexcept;
  FeatureClaim& operator=(FeatureClaim&& other) noexcept;
  ~FeatureClaim();  // without publish: gives up; those who wait are called and the first to begin() again gets the claim

  explicit operator bool() const { return cache_ != nullptr; }
  const FeatureKey& key() const { return key_; }
  // Remembers the rows and calls those who wait. Sets features.key. Never blocks on the disk. After clear() the rows go to those who wait
  // and are not remembered.
  FeatureHit publish(Features&& features);

 private:
  friend class FeatureCache;
  FeatureClaim(FeatureCache* cache, const FeatureKey& key, uint64_t epoch) : cache_(cache), key_(key), epoch_(epoch) {}
  FeatureCache* cache_ = nullptr;
  FeatureKey key_;
  uint64_t epoch_ = 0;
};

// What begin() found. Exactly one of: hit, claim (encode it), in_flight (somebody else is encoding it).
struct FeatureBegin {
  FeatureHit hit;
  FeatureClaim claim;
  bool in_flight = false;
};

class FeatureCache {
 public:
  // Never fails: a disk tier whose folder cannot be used is off and counted in disk_errors.
  explicit FeatureCache(FeatureCacheOptions options);
  ~FeatureCache();  // writes what waits for the disk. Claims must be gone; hits may live on. With a device_tier: on the device's thread
  FeatureCache(const FeatureCache&) = delete;
  FeatureCache& operator=(const FeatureCache&) = delete;

  // Looks in every tier. When the answer is in_flight, `when_settled` is called once, by the thread that settles it and without the cache's
  // lock; begin again then. It must not throw.
  FeatureBegin begin(const FeatureKey& key, std::function<void()> when_settled = {});

  // The rows of a picture whose file's bytes are known (source_key), without decoding it.
  FeatureHit find_source(const FeatureKey& source);
  // From now on find_source(source) finds key's rows. Only what a tier holds is remembered, so call it after a hit or publish().
  void remember(const FeatureKey& source, const FeatureKey& key);

  // With a device_tier, on the device's thread: the hit's rows on the device, copied there when they fit. Null: use features->values.
  std::shared_ptr<const DeviceRows> rows_on_device(const FeatureHit& hit);
  // With a device_tier, on the device's thread, now and then: frees on the device what was forgotten.
  void collect();

  // Forgets everything, on disk too; what is in use stays with its users and goes with them. Rows that are being encoded meanwhile are not
  // remembered. Error io_error: an entry could not be removed from the disk (the rest was).
  Status clear();
  // Returns when what was published so far has been written to the disk, or failed to be.
  void flush();

  FeatureCacheStats stats() const;

 private:
  friend class FeatureClaim;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kl
