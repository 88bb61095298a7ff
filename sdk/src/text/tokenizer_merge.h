// The inner loop of byte-pair encoding, of both kinds: join the best pair of neighbours until no pair can be joined.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace kl {

// A stretch of a word, as long as [begin, begin + length) before it was joined to others.
struct MergeSymbol {
  uint32_t begin = 0, length = 0;  // length 0: joined to its left neighbour
  uint32_t previous = 0, next = 0;
  int32_t token = -1;  // -1: no token has this text
};

inline constexpr uint32_t kNoSymbol = ~uint32_t{0};

// What joining two neighbours gives.
struct MergeCandidate {
  uint32_t order = 0;  // smaller is joined first; among equals, the leftmost pair
  int32_t token = -1;  // negative: they are not joined
};

// Kept between words, so that a text costs few allocations.
struct MergeScratch {
  struct Entry {
    uint64_t key = 0;  // order, then the left symbol's index
    uint32_t right = 0, length = 0;
    int32_t token = -1;
    bool operator>(const Entry& other) const { return key > other.key; }
  };
  std::vector<MergeSymbol> symbols;
  std::vector<Entry> heap;
};

// Precondition: scratch.symbols holds the word's first symbols, linked in order. Afterwards those with length > 0, in order, are the
// result. rule(left, right) -> MergeCandidate. n symbols cost O(n log n).
template <class Rule>
void merge_symbols(MergeScratch& scratch, const Rule& rule) {
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  heap.clear();
  const auto propose = [&](uint32_t left, uint32_t right) {
    const MergeCandidate found = rule(symbols[left], symbols[right]);
    if (found.token < 0) return false;
    heap.push_back({uint64_t{found.order} << 32U | left, right, symbols[left].length + symbols[right].length, found.token});
    return true;
  };
  const auto propose_later = [&](uint32_t left, uint32_t right) {
    if (propose(left, right)) std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  for (uint32_t i = 1; i < symbols.size(); ++i) propose(i - 1, i);
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const MergeScratch::Entry best = heap.back();
    heap.pop_back();
    const auto left_index = static_cast<uint32_t>(best.key);
    MergeSymbol& left = symbols[left_index];
    MergeSymbol& right = symbols[best.right];
    // Out of date when either side was joined to something else since: then the two together have another length.
    if (left.length == 0 || right.length == 0 || left.length + right.length != best.length) continue;
    left.length = best.length;
    left.token = best.token;
    left.next = right.next;
    right.length = 0;
    if (left.next != kNoSymbol) symbols[left.next].previous = left_index;
    if (left.previous != kNoSymbol) propose_later(left.previous, left_index);
    if (left.next != kNoSymbol) propose_later(left_index, left.next);
  }
}

}  // namespace kl
