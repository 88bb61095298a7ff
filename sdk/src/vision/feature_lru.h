// One tier in memory: values with their sizes, within a budget of bytes; what was used longest ago goes first. A value that somebody else
// holds too is pinned. Not thread-safe: values may be let go anywhere, but only the tier's owner hands them out, under its lock; so a value
// nobody else holds stays so during a call.
#pragma once
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "vision/entry_folder.h"
#include "vision/features.h"

namespace kl {

template <class T>
class FeatureLru {
 public:
  struct Entry {
    FeatureKey key;
    std::shared_ptr<const T> value;
    uint64_t bytes = 0;
  };

  explicit FeatureLru(uint64_t budget) : budget_(budget) {}

  // Null when it is not there; otherwise used now.
  std::shared_ptr<const T> find(const FeatureKey& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return found->second->value;
  }

  // Moves what must go to `out`, for the caller to let go without its lock. False: so many bytes do not fit beside what is pinned, and
  // nothing went.
  bool make_room(uint64_t bytes, std::vector<Entry>& out) {
    if (bytes > budget_) return false;
    uint64_t free = budget_ - bytes_;
    size_t victims = 0;
    for (auto at = order_.rbegin(); free < bytes; ++at) {
      if (at == order_.rend()) return false;
      if (at->value.use_count() > 1) continue;
      free += at->bytes;
      ++victims;
    }
    out.reserve(out.size() + victims);  // what may throw comes before the first change
    for (auto at = order_.end(); bytes_ > budget_ - bytes && at != order_.begin();) {
      --at;
      if (at->value.use_count() == 1) take(at++, out);
    }
    return bytes_ <= budget_ - bytes;
  }

  // Makes room and moves the entry in, used now; false, and the entry as it was: no room. Precondition: the key is not held.
  bool insert(Entry& entry, std::vector<Entry>& out) {
    if (!make_room(entry.bytes, out)) return false;
    std::list<Entry> node(1);
    index_.emplace(entry.key, node.begin());
    node.front() = std::move(entry);
    bytes_ += node.front().bytes;
    order_.splice(order_.begin(), node);
    return true;
  }

  void erase(const FeatureKey& key, std::vector<Entry>& out) {
    if (const auto found = index_.find(key); found != index_.end()) take(found->second, out);
  }
  void clear(std::vector<Entry>& out) {
    while (!order_.empty()) take(order_.begin(), out);
  }

  bool contains(const FeatureKey& key) const { return index_.contains(key); }
  uint64_t budget() const { return budget_; }
  uint64_t bytes() const { return bytes_; }
  const std::list<Entry>& entries() const { return order_; }

 private:
  void take(typename std::list<Entry>::iterator entry, std::vector<Entry>& out) {
    out.emplace_back();
    bytes_ -= entry->bytes;
    index_.erase(entry->key);
    out.back() = std::move(*entry);
    order_.erase(entry);
  }

  const uint64_t budget_;
  uint64_t bytes_ = 0;
  std::list<Entry> order_;  // used last first
  std::unordered_map<FeatureKey, typename std::list<Entry>::iterator, FeatureKeyHash> index_;
};

}  // namespace kl
