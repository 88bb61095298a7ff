// Which pairs of tokens byte-pair encoding joins: (left, right) -> rank and resulting token. Read millions of times, so a flat table.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kl {

class MergeTable {
 public:
  struct Merge {
    uint32_t rank = 0;  // smaller is joined first
    int32_t result = -1;
  };

  void reserve(size_t merges);
  // False when the pair is there already: the first rank stays. Precondition: ids are not negative; reserve() covered the count.
  bool insert(int32_t left, int32_t right, Merge merge);
  // nullptr: this pair is never joined. A symbol without a token has a negative id and is in no pair.
  const Merge* find(int32_t left, int32_t right) const {
    if ((left | right) < 0 || slots_.empty()) return nullptr;
    const uint64_t key = key_of(left, right);
    for (size_t i = start_of(key);; i = (i + 1) & mask_) {
      if (slots_[i].key == key) return &slots_[i].merge;
      if (slots_[i].key == kFree) return nullptr;
    }
  }
  size_t size() const { return count_; }

 private:
  struct Slot {
    uint64_t key = kFree;
    Merge merge;
  };
  static constexpr uint64_t kFree = ~uint64_t{0};  // no pair of ids: they are not negative
  static uint64_t key_of(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32U | static_cast<uint32_t>(right);
  }
  size_t start_of(uint64_t key) const { return static_cast<size_t>((key * 0x9e3779b97f4a7c15U) >> shift_); }

  std::vector<Slot> slots_;
  size_t mask_ = 0, count_ = 0;
  uint32_t shift_ = 63;
};

}  // namespace kl
