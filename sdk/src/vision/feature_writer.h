// Writes entries to the disk tier behind the encoder's back, in order, on a thread that starts with the first of them. Thread-safe.
#pragma once
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "vision/feature_disk.h"

namespace kl {

class FeatureWriter {
 public:
  explicit FeatureWriter(FeatureDisk& disk) : disk_(disk) {}
  ~FeatureWriter();  // writes what waits
  FeatureWriter(const FeatureWriter&) = delete;
  FeatureWriter& operator=(const FeatureWriter&) = delete;

  // Left out when the disk is so slow that kMaxWaiting bytes wait for it already, or when no thread can be started (counted in failures()).
  void add(std::shared_ptr<const Features> features);
  void add_source(const FeatureKey& source, const FeatureKey& key);
  bool waits(const FeatureKey& key) const;  // the entry is not written yet: queued, or being written
  void flush();                             // returns when nothing waits
  void discard();                           // forgets what waits, and returns when the write in progress is over
  uint64_t failures() const;

 private:
  static constexpr uint64_t kMaxWaiting = uint64_t{64} << 20;
  struct Job {
    std::shared_ptr<const Features> features;  // or null:
    FeatureKey source, key;
  };
  void queue(Job job);
  void run();

  FeatureDisk& disk_;
  mutable std::mutex mutex_;
  std::condition_variable work_, idle_;
  std::deque<Job> jobs_;
  std::optional<FeatureKey> writing_;  // the entry that is being written
  uint64_t waiting_bytes_ = 0, failures_ = 0;
  bool busy_ = false, stop_ = false;
  std::thread thread_;
};

}  // namespace kl
