// A folder of entries named by their keys (64 hexadecimal digits), within a budget: what was used longest ago goes first, by modification
// time, which reading renews. Entries appear whole or not at all and survive a power cut once write() has returned (R20). Nothing with
// another name is read, counted or removed, but for temporaries of writers that are gone; links are refused (R17).
//
// Several processes may share a folder: none holds a lock, an entry that another one removed is a miss, and the budget is kept over what
// all of them had written when this one last looked (at open, when it is full, at every 64th write, and at the one after another process's entry was read). Thread-safe.
#pragma once
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "vision/features.h"

namespace kl {

struct FeatureKeyHash {
  size_t operator()(const FeatureKey& key) const;
};

class EntryFolder {
 public:
  struct Budget {
    uint64_t bytes = 0;
    uint64_t entries = UINT64_MAX;
  };
  // Makes the folder, not its parents. Error io_error, naming the system's reason, here and below.
  static Result<std::unique_ptr<EntryFolder>> open(std::string folder, Budget budget);

  // The entry's bytes. Errors: not_found; corrupt (no regular file, or larger than the budget); io_error.
  Result<std::vector<std::byte>> read(const FeatureKey& key);
  // Makes room, then writes. Error out_of_memory: larger than the budget.
  Status write(const FeatureKey& key, std::span<const std::byte> bytes);
  // No error when it is not there.
  Status remove(const FeatureKey& key);
  // Removes every entry, those of other processes too, and what their killed writers left. Waits for a write() in progress. Error: some
  // could not be removed.
  Status clear();

  bool contains(const FeatureKey& key) const;  // as far as this process has seen
  uint64_t bytes() const;
  uint64_t entries() const;
  uint64_t evictions() const;

 private:
  struct Known {
    uint64_t bytes = 0;
    int64_t used_ns = 0;  // since 1970
  };
  EntryFolder(std::string folder, Budget budget) : folder_(std::move(folder)), budget_(budget) {}
  std::string path_of(const FeatureKey& key) const;
  Status look();                                          // the index anew from the folder
  Status make_room(uint64_t bytes);                       // for one entry
  void evict_until(uint64_t bytes, uint64_t entries);     // there is room for so much more, or nothing can be removed any more
  bool has_room(uint64_t bytes, uint64_t entries) const;  // mutex_ held
  void note(const FeatureKey& key, uint64_t bytes);       // that it is there
  void renew(const FeatureKey& key);
  void forget(const FeatureKey& key);

  const std::string folder_;
  const Budget budget_;
  std::mutex writing_;        // one writer at a time, so that its room stays; taken before mutex_
  uint64_t writes_ = 0;       // writing_
  mutable std::mutex mutex_;  // the index; never held over a system call
  std::unordered_map<FeatureKey, Known, FeatureKeyHash> index_;
  uint64_t bytes_ = 0, evictions_ = 0;
  bool look_at_write_ = false;
};

}  // namespace kl
