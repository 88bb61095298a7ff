#include "core/draw.h"

#include <algorithm>
#include <bit>

namespace kl {
namespace {

uint32_t order_of_float(float v) { return order_of(std::bit_cast<uint32_t>(v)); }

// What a cut leaves: what is above `order`, and of what equals it the ids up to `last`.
struct Cut {
  uint32_t order = 0;
  size_t last = SIZE_MAX;
  bool keeps(float v, size_t id) const {
    const uint32_t o = order_of_float(v);
    return o > order || (o == order && id <= last);
  }
};

// The k-th highest, digit by digit, from counts of how often each digit comes. Precondition: 0 < k < logits.size().
Cut cut_at(std::span<const float> logits, uint32_t k) {
  constexpr uint32_t kBits = 8, kDigits = 1u << kBits;
  uint32_t found = 0, mask = 0, left = k;
  for (int shift = 32 - kBits; shift >= 0; shift -= kBits) {
    std::array<uint32_t, kDigits> counts{};
    for (const float v : logits) {
      const uint32_t o = order_of_float(v);
      if ((o & mask) == found) ++counts[o >> shift & (kDigits - 1)];
    }
    uint32_t digit = kDigits - 1;
    for (; counts[digit] < left; --digit) left -= counts[digit];
    found |= digit << shift;
    mask |= (kDigits - 1) << shift;
  }
  // `left` of those that equal it belong to the k, the first ones.
  Cut cut{found, 0};
  for (size_t id = 0;; ++id) {
    if (order_of_float(logits[id]) == found && --left == 0) {
      cut.last = id;
      return cut;
    }
  }
}

}  // namespace

float draw_scale(float temperature) { return static_cast<float>(std::min(1.4426950408889634074 / static_cast<double>(temperature), 1e30)); }

int32_t draw(std::span<const float> logits, float best, const DrawSettings& settings) {
  const bool cuts = settings.top_k > 0 && settings.top_k < logits.size();
  const Cut cut = cuts ? cut_at(logits, settings.top_k) : Cut{};
  const auto weight = [&](size_t id) { return cut.keeps(logits[id], id) ? draw_weight(logits[id], best, settings.scale) : 0; };
  std::array<uint64_t, kDrawLanes> lanes{};
  for (size_t first = 0; first < logits.size(); first += kDrawLanes) {
    const size_t count = std::min<size_t>(kDrawLanes, logits.size() - first);
    for (size_t lane = 0; lane < count; ++lane) lanes[lane] += weight(first + lane);
  }
  uint64_t sum = 0;
  for (const uint64_t lane : lanes) sum += lane;
  uint64_t left = multiply_high(uint64_t{settings.random_high} << 32 | settings.random_low, sum);
  size_t lane = 0;
  while (left >= lanes[lane]) left -= lanes[lane++];
  for (size_t id = lane;; id += kDrawLanes) {
    const uint64_t w = weight(id);
    if (left < w) return static_cast<int32_t>(id);
    left -= w;
  }
}

}  // namespace kl
