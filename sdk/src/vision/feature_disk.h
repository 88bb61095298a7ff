// The disk tier: <cache_dir>/features holds an entry per key (feature_file.h), <cache_dir>/feature_sources one per picture's file, naming
// the key of its rows:
//
//   offset 0    8 bytes  "KLSOURCE"
//          8    u32      format version
//         12    32 bytes source key      44  32 bytes feature key
//         76    XXH3-128 of all before it, low then high
//
// A damaged entry is deleted. Thread-safe.
#pragma once
#include <atomic>

#include "vision/entry_folder.h"

namespace kl {

class FeatureDisk {
 public:
  struct Options {
    std::string folder;  // cache_dir, made when absent; its parent is not
    uint64_t bytes = 0;  // of features
    uint32_t sources = 0;
  };
  // Error io_error: a folder cannot be made or listed.
  static Result<std::unique_ptr<FeatureDisk>> open(const Options& options);

  // Errors: not_found (the only one that is not counted); corrupt, unsupported, io_error.
  Result<Features> read(const FeatureKey& key);
  Result<FeatureKey> read_source(const FeatureKey& source);
  // Features larger than the budget are left out without an error.
  Status write(const Features& features);
  Status write_source(const FeatureKey& source, const FeatureKey& key);
  Status clear();

  bool contains(const FeatureKey& key) const { return features_->contains(key); }
  uint64_t bytes() const { return features_->bytes(); }
  uint64_t entries() const { return features_->entries(); }
  uint64_t evictions() const { return features_->evictions(); }
  uint64_t errors() const { return errors_; }  // reads, writes and removals that failed

 private:
  FeatureDisk() = default;
  template <class T>
  Result<T> judged(EntryFolder& folder, const FeatureKey& key, Result<T> read);
  Status counted(Status status);

  std::unique_ptr<EntryFolder> features_, sources_;
  std::atomic<uint64_t> errors_{0};
};

}  // namespace kl
