// Where a sequence's positions are: logical page (position / 32) -> physical page, for one group. The index stays logical for a sequence's whole
// life; entries wholly behind a window are kNoPage. Owns nothing: references are counted by whoever calls.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "core/format.h"

namespace kl {

class BlockTable {
 public:
  std::span<const uint32_t> entries() const { return entries_; }
  uint32_t size() const { return static_cast<uint32_t>(entries_.size()); }
  uint32_t first_live() const { return first_live_; }  // entries before it are kNoPage
  uint32_t operator[](uint32_t logical) const { return entries_[logical]; }
  uint32_t last() const { return entries_.empty() ? kNoPage : entries_.back(); }

  void reserve(uint32_t pages) {  // so that push() up to there cannot fail
    if (entries_.capacity() < pages) entries_.reserve(std::max<size_t>(pages, 2 * entries_.capacity()));
  }
  void push(uint32_t page) {
    if (page == kNoPage && first_live_ == entries_.size()) ++first_live_;
    entries_.push_back(page);
  }
  uint32_t pop() {
    const uint32_t page = entries_.back();
    entries_.pop_back();
    if (first_live_ > entries_.size()) first_live_ = static_cast<uint32_t>(entries_.size());
    return page;
  }
  void replace(uint32_t logical, uint32_t page) { entries_[logical] = page; }
  // The page at first_live() leaves the table. Precondition: first_live() < size().
  uint32_t drop_first() {
    const uint32_t page = entries_[first_live_];
    entries_[first_live_++] = kNoPage;
    return page;
  }

 private:
  std::vector<uint32_t> entries_;
  uint32_t first_live_ = 0;
};

}  // namespace kl
