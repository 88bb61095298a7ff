// Which content is already in the cache: full pages keyed by everything that decides their bits.
// A page's key is a chained hash: H(parent's key, the 32 items of the page); the root is H(salt, the groups). Two pages with one key hold the same
// K and V, because a row's K and V depend on the rows before it and on nothing else. Not thread-safe. Holds page numbers, no references.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/hash.h"
#include "kv/group.h"

namespace kl {

// What stands at one position: a token id, or a row of an encoded image. kernel_class separates rows whose bits may differ though their content is
// the same (on a GPU: prompt or generated); 0 on a CPU.
struct ContentItem {
  Hash128 feature;  // zero for a token
  uint32_t id = 0;  // token id, or row within the feature
  uint32_t kernel_class = 0;
  bool operator==(const ContentItem&) const = default;
};

class PrefixIndex {
 public:
  // salt: whatever else decides the bits (model identity, adapter, backend, layout version).
  PrefixIndex(std::span<const KvGroup> groups, const Hash128& salt);

  Hash128 root() const { return root_; }
  static Hash128 child(const Hash128& parent, std::span<const ContentItem> page_items);  // exactly 32 items

  // The pages for a key, one per group (kNoPage: not there), or null.
  const std::vector<uint32_t>* find(const Hash128& key) const;
  // The page of a group for a key; the first page named for a key stays. Returns whether it was taken.
  bool insert(const Hash128& key, uint32_t group, uint32_t page);
  // The page's content is about to change.
  void forget(uint32_t group, uint32_t page);

  struct Hit {
    std::vector<Hash128> keys;  // of the pages found, in order
  };
  // The longest run of leading full pages of `items`, at most max_tokens, that a new sequence can start behind: every global group has all of
  // them, every window group those that the next row still sees.
  Hit longest(std::span<const ContentItem> items, uint32_t max_tokens) const;

  size_t size() const { return entries_.size(); }

 private:
  struct KeyHash {
    size_t operator()(const Hash128& key) const { return static_cast<size_t>(key.low); }
  };
  std::vector<KvGroup> groups_;
  Hash128 root_;
  std::unordered_map<Hash128, std::vector<uint32_t>, KeyHash> entries_;
  std::vector<std::unordered_map<uint32_t, Hash128>> key_of_page_;  // per group
};

}  // namespace kl
