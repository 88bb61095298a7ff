// Row classes: a recording serves every step whose rows fit its bucket. Lengths are never bucketed, they are read on the device.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace kl {

// 1, 2-4, 5-8, then doubling up to max_rows.
inline std::vector<uint32_t> row_buckets(uint32_t max_rows) {
  std::vector<uint32_t> buckets = {1};
  for (uint32_t rows = 4; rows < max_rows; rows *= 2) buckets.push_back(rows);
  if (max_rows > 1) buckets.push_back(max_rows);
  return buckets;
}

// The smallest bucket that `rows` fit, as an index; the last when none does.
inline size_t bucket_of(const std::vector<uint32_t>& buckets, uint32_t rows) {
  const auto at = std::lower_bound(buckets.begin(), buckets.end(), rows);
  return static_cast<size_t>((at == buckets.end() ? at - 1 : at) - buckets.begin());
}

}  // namespace kl
