#include "vision/reduce_rows.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace kl {
namespace {

uint32_t ceil_div(uint32_t value, uint32_t divisor) { return value / divisor + (value % divisor != 0 ? 1 : 0); }

// Where a row stands in its block's grid; rows of whole grids stand in order.
std::array<uint16_t, 2> place_of(const Features& f, size_t row, size_t in_block, const FeatureBlock& block) {
  if (!f.places.empty()) return f.places[row];
  return {static_cast<uint16_t>(in_block / block.width), static_cast<uint16_t>(in_block % block.width)};
}

Status check_grids(const Features& f) {
  constexpr uint32_t kMaxSide = 1u << 16;  // places are 16 bits
  constexpr uint64_t kMaxCells = 1u << 20;
  for (const FeatureBlock& b : f.blocks) {
    if (b.height <= kMaxSide && b.width <= kMaxSide && uint64_t{b.height} * b.width <= kMaxCells) continue;
    return error(Code::invalid_argument, "expected grids of at most %s rows, got %u x %u", with_commas(kMaxCells).c_str(), b.height,
                 b.width);
  }
  return {};
}

uint64_t rows_after(const Features& f, uint32_t side) {
  uint64_t rows = 0;
  for (const FeatureBlock& block : f.blocks) rows += uint64_t{ceil_div(block.height, side)} * ceil_div(block.width, side);
  return rows;
}

// The dot product, summed in 16 lanes that are added in order at the end: the same bits whatever the width of a vector register.
float dot(const float* a, const float* b, size_t n) {
  constexpr size_t kLanes = 16;
  float lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  }
  for (size_t lane = 0; i < n; ++i, ++lane) lanes[lane] += a[i] * b[i];
  float sum = 0.0f;
  for (const float lane : lanes) sum += lane;
  return sum;
}

// The rows with length 1, so that a dot product is a cosine; a row without a length (zeros, or not finite) is all zeros: like no other.
std::vector<float> unit_rows(const Features& f) {
  std::vector<float> unit(f.values.size());
  for (size_t row = 0; row < f.rows; ++row) {
    const float* from = f.values.data() + row * f.width;
    const float length = std::sqrt(dot(from, from, f.width));
    if (!(length > 0.0f) || !std::isfinite(length)) continue;
    for (size_t i = 0; i < f.width; ++i) unit[row * f.width + i] = from[i] / length;
  }
  return unit;
}

// For each row, the cosine to the row most like it among those taken in so far.
class Nearest {
 public:
  explicit Nearest(const Features& f) : rows_(f.rows), width_(f.width), unit_(unit_rows(f)), cosine_(f.rows, kNone) {}

  void take_in(size_t other) {
    for (size_t row = 0; row < rows_; ++row) {
      if (row != other) cosine_[row] = std::max(cosine_[row], dot(row_at(row), row_at(other), width_));
    }
  }
  void take_in_all() {
    for (size_t row = 0; row < rows_; ++row) {
      for (size_t other = row + 1; other < rows_; ++other) {
        const float cosine = dot(row_at(row), row_at(other), width_);
        cosine_[row] = std::max(cosine_[row], cosine);
        cosine_[other] = std::max(cosine_[other], cosine);
      }
    }
  }
  void forget_all() { std::fill(cosine_.begin(), cosine_.end(), kNone); }
  // The first of those least alike to what was taken in, among the rows that `may` allows.
  template <class May>
  size_t least_alike(May may) const {
    size_t best = rows_;
    for (size_t row = 0; row < rows_; ++row) {
      if (may(row) && (best == rows_ || cosine_[row] < cosine_[best])) best = row;
    }
    return best;
  }

 private:
  static constexpr float kNone = -2.0f;  // below every cosine
  const float* row_at(size_t row) const { return unit_.data() + row * width_; }

  const size_t rows_, width_;
  const std::vector<float> unit_;  // [rows width]
  std::vector<float> cosine_;      // [rows]
};

std::vector<size_t> block_of_rows(const Features& f) {
  std::vector<size_t> block_of;
  for (size_t block = 0; block < f.blocks.size(); ++block) block_of.insert(block_of.end(), f.blocks[block].rows, block);
  return block_of;
}

// DivPrune's greedy choice of `count` rows, with a row of every block among them.
std::vector<bool> most_different(const Features& f, size_t count) {
  const std::vector<size_t> block_of = block_of_rows(f);
  std::vector<bool> kept(f.rows, false);
  std::vector<bool> block_kept(f.blocks.size(), false);
  size_t blocks_left = f.blocks.size();
  Nearest nearest(f);
  nearest.take_in_all();
  for (size_t n = 0; n < count; ++n) {
    const bool blocks_first = blocks_left == count - n;  // every row still to be kept is needed for a block without one
    const size_t next = nearest.least_alike([&](size_t row) { return !kept[row] && !(blocks_first && block_kept[block_of[row]]); });
    if (n == 0) nearest.forget_all();
    nearest.take_in(next);
    kept[next] = true;
    if (!block_kept[block_of[next]]) --blocks_left;
    block_kept[block_of[next]] = true;
  }
  return kept;
}

}  // namespace

Result<Features> pool_rows(Features features, uint32_t max_rows) {
  KL_TRY(check_features(features));
  KL_TRY(check_grids(features));
  if (max_rows == 0 || features.rows <= max_rows) return features;
  if (max_rows < features.blocks.size()) {
    return error(Code::invalid_argument, "expected a budget of at least %zu rows, one for each block of the picture, got %u",
                 features.blocks.size(), max_rows);
  }
  uint32_t side = 2;
  while (rows_after(features, side) > max_rows) ++side;  // ends: with the longest side every block is one row

  const size_t width = std::max<size_t>(features.width, 1);
  std::vector<float> values;
  std::vector<std::array<uint16_t, 2>> places;
  bool whole = true;
  size_t row = 0;
  for (FeatureBlock& block : features.blocks) {
    const uint32_t pooled_width = ceil_div(block.width, side);
    const size_t cells = size_t{ceil_div(block.height, side)} * pooled_width;
    std::vector<float> sums(cells * width);
    std::vector<uint32_t> members(cells);
    for (size_t i = 0; i < block.rows; ++i, ++row) {
      const auto [y, x] = place_of(features, row, i, block);
      const size_t cell = size_t{y / side} * pooled_width + x / side;
      for (size_t k = 0; k < width; ++k) sums[cell * width + k] += features.values[row * width + k];
      ++members[cell];
    }
    FeatureBlock pooled{0, ceil_div(block.height, side), pooled_width};
    for (size_t cell = 0; cell < cells; ++cell) {
      if (members[cell] == 0) continue;
      for (size_t k = 0; k < width; ++k) values.push_back(sums[cell * width + k] / static_cast<float>(members[cell]));
      places.push_back({static_cast<uint16_t>(cell / pooled_width), static_cast<uint16_t>(cell % pooled_width)});
      ++pooled.rows;
    }
    whole = whole && pooled.rows == cells;
    block = pooled;
  }
  if (whole) places.clear();
  features.rows = static_cast<uint32_t>(values.size() / width);
  features.values = std::move(values);
  features.places = std::move(places);
  return features;
}

Result<Features> prune_rows(Features features, float fraction) {
  KL_TRY(check_features(features));
  KL_TRY(check_grids(features));
  if (!(fraction >= 0.0f && fraction <= 0.9f)) {
    return error(Code::invalid_argument, "expected a fraction of rows to leave out in [0, 0.9], got %g", static_cast<double>(fraction));
  }
  const auto leave_out = static_cast<size_t>(fraction * static_cast<float>(features.rows));  // in float: 0.7 of 10 is 7
  const size_t count = std::max<size_t>(features.rows - leave_out, features.blocks.size());
  if (count >= features.rows) return features;
  const std::vector<bool> kept = most_different(features, count);

  std::vector<std::array<uint16_t, 2>> places;
  size_t row = 0;
  size_t to = 0;
  for (FeatureBlock& block : features.blocks) {
    uint32_t left = 0;
    for (size_t i = 0; i < block.rows; ++i, ++row) {
      if (!kept[row]) continue;
      places.push_back(place_of(features, row, i, block));
      std::copy_n(features.values.begin() + static_cast<ptrdiff_t>(row * features.width), features.width,
                  features.values.begin() + static_cast<ptrdiff_t>(to++ * features.width));
      ++left;
    }
    block.rows = left;
  }
  features.rows = static_cast<uint32_t>(to);
  features.values.resize(to * features.width);
  features.places = std::move(places);
  return features;
}

}  // namespace kl
