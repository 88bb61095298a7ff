#include "text/vocabulary_merges.h"

#include <bit>

namespace kl {

void MergeTable::reserve(size_t merges) {
  const size_t slots = std::bit_ceil(merges + merges / 2 + 2);  // at most two thirds full, never full
  slots_.assign(slots, Slot{});
  mask_ = slots - 1;
  shift_ = 64U - static_cast<uint32_t>(std::countr_zero(slots));
  count_ = 0;
}

bool MergeTable::insert(int32_t left, int32_t right, Merge merge) {
  const uint64_t key = key_of(left, right);
  size_t i = start_of(key);
  for (; slots_[i].key != kFree; i = (i + 1) & mask_) {
    if (slots_[i].key == key) return false;
  }
  slots_[i] = {key, merge};
  ++count_;
  return true;
}

}  // namespace kl
