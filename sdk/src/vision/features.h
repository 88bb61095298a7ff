// An encoded picture: the rows that a decoder's gather takes where a token would be, and what is needed to place them in a prompt.
// Immutable once made; shared by sessions, jobs and the feature cache.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"

namespace kl {

// 256 bits of BLAKE2b over everything that decides a row's bits (feature_key.h).
struct FeatureKey {
  std::array<uint8_t, 32> bytes{};
  bool operator==(const FeatureKey&) const = default;
  std::strong_ordering operator<=>(const FeatureKey& other) const { return bytes <=> other.bytes; }
  std::string hex() const;  // 64 lower-case digits
};

// A run of rows with one place in the prompt's text: a tile, or the whole picture.
struct FeatureBlock {
  uint32_t rows = 0;
  uint32_t height = 0, width = 0;  // of the grid of rows before any was left out
};

struct Features {
  FeatureKey key;
  uint32_t rows = 0, width = 0;  // [rows width], in prompt order
  std::vector<float> values;
  std::vector<FeatureBlock> blocks;                // in order; their rows add up to `rows`
  uint32_t grid_rows = 0, grid_columns = 0;        // tiles of the picture (Idefics3); 0, 0: not cut
  std::vector<std::array<uint16_t, 2>> places;     // [rows] (y, x) within the row's block: M-RoPE needs it when rows were left out
  uint32_t picture_width = 0, picture_height = 0;  // of the picture, upright
  uint64_t bytes() const { return values.size() * sizeof(float) + places.size() * sizeof(places[0]); }
};

// What every user of Features may rely on: rows * width values; blocks of at least one row that add up to `rows` and fit their grids; one
// place per row, inside its grid, or none, which means that the grids are whole and in order. Error corrupt: says what contradicts what.
Status check_features(const Features& features);

}  // namespace kl
