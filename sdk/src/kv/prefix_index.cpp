#include "kv/prefix_index.h"

#include <algorithm>
#include <array>

namespace kl {
namespace {

// A byte string written field by field: no padding, one byte order, so keys may be kept in files and compared across machines.
class Bytes {
 public:
  void put32(uint32_t v) {
    for (int i = 0; i < 4; ++i) bytes_.push_back(static_cast<std::byte>(v >> (8 * i)));
  }
  void put(const Hash128& h) {
    for (const uint64_t half : {h.low, h.high}) {
      put32(static_cast<uint32_t>(half));
      put32(static_cast<uint32_t>(half >> 32));
    }
  }
  void reserve(size_t n) { bytes_.reserve(n); }
  Hash128 hash() const { return hash128(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace

PrefixIndex::PrefixIndex(std::span<const KvGroup> groups, const Hash128& salt)
    : groups_(groups.begin(), groups.end()), key_of_page_(groups.size()) {
  Bytes bytes;
  bytes.put(salt);
  bytes.put32(static_cast<uint32_t>(groups.size()));
  for (const KvGroup& g : groups) {
    for (const uint32_t field : {g.layers, g.kv_heads, g.head_size, g.window, static_cast<uint32_t>(g.format)}) bytes.put32(field);
  }
  root_ = bytes.hash();
}

Hash128 PrefixIndex::child(const Hash128& parent, std::span<const ContentItem> page_items) {
  Bytes bytes;
  bytes.reserve(16 + page_items.size() * 24);
  bytes.put(parent);
  for (const ContentItem& item : page_items) {
    bytes.put(item.feature);
    bytes.put32(item.id);
    bytes.put32(item.kernel_class);
  }
  return bytes.hash();
}

const std::vector<uint32_t>* PrefixIndex::find(const Hash128& key) const {
  const auto it = entries_.find(key);
  return it == entries_.end() ? nullptr : &it->second;
}

bool PrefixIndex::insert(const Hash128& key, uint32_t group, uint32_t page) {
  std::vector<uint32_t>& pages = entries_.try_emplace(key, groups_.size(), kNoPage).first->second;
  if (pages[group] != kNoPage) return false;
  key_of_page_[group][page] = key;  // first: it may throw, and a page in an entry must be found by forget()
  pages[group] = page;
  return true;
}

void PrefixIndex::forget(uint32_t group, uint32_t page) {
  const auto named = key_of_page_[group].find(page);
  if (named == key_of_page_[group].end()) return;
  const auto entry = entries_.find(named->second);
  key_of_page_[group].erase(named);
  entry->second[group] = kNoPage;
  if (std::ranges::all_of(entry->second, [](uint32_t p) { return p == kNoPage; })) entries_.erase(entry);
}

PrefixIndex::Hit PrefixIndex::longest(std::span<const ContentItem> items, uint32_t max_tokens) const {
  Hit hit;
  const size_t pages = std::min<size_t>(items.size(), max_tokens) / kKvPageTokens;
  std::vector<size_t> unbroken(groups_.size(), 0);  // per group: pages present without a gap up to here
  size_t usable = 0;
  Hash128 key = root_;
  for (size_t n = 0; n < pages; ++n) {
    key = child(key, items.subspan(n * kKvPageTokens, kKvPageTokens));
    const std::vector<uint32_t>* found = find(key);
    if (found == nullptr) break;
    bool serves = true, global_gap = false;
    const uint32_t next_position = static_cast<uint32_t>(n + 1) * kKvPageTokens;
    for (size_t g = 0; g < groups_.size(); ++g) {
      unbroken[g] = (*found)[g] == kNoPage ? 0 : unbroken[g] + 1;
      const size_t wanted = n + 1 - std::min<size_t>(n + 1, first_visible_page(groups_[g], next_position));
      serves = serves && unbroken[g] >= wanted;
      global_gap = global_gap || (groups_[g].window == 0 && unbroken[g] == 0);
    }
    if (global_gap) break;
    hit.keys.push_back(key);
    if (serves) usable = n + 1;
  }
  hit.keys.resize(usable);
  return hit;
}

}  // namespace kl
