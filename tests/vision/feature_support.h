// Features for tests: their values tell which ones they are.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

#include "vision/features.h"

namespace kl::test {

inline FeatureKey some_key(uint64_t number) {
  FeatureKey key;
  for (size_t i = 0; i < key.bytes.size(); ++i) key.bytes[i] = static_cast<uint8_t>((number + i) * 2654435761u >> (i % 4 * 8) ^ i);
  std::memcpy(key.bytes.data(), &number, sizeof number);
  return key;
}

// `rows` rows of `width` values in one block of one line, of which bit patterns of every kind are some, NaN included.
inline Features some_features(uint64_t number, uint32_t rows = 3, uint32_t width = 4) {
  Features f;
  f.key = some_key(number);
  f.rows = rows;
  f.width = width;
  f.values.resize(size_t{rows} * width);
  for (size_t i = 0; i < f.values.size(); ++i) {
    const auto bits = static_cast<uint32_t>((number + 1) * 0x9E3779B97F4A7C15u >> 17) ^ static_cast<uint32_t>(i * 0x85EBCA6Bu);
    std::memcpy(&f.values[i], &bits, sizeof bits);
  }
  f.blocks = {{rows, 1, rows}};
  f.picture_width = 640;
  f.picture_height = 480;
  return f;
}

// Equal in every bit, key included.
inline bool same(const Features& a, const Features& b) {
  const auto same_block = [](const FeatureBlock& x, const FeatureBlock& y) {
    return x.rows == y.rows && x.height == y.height && x.width == y.width;
  };
  bool blocks = a.blocks.size() == b.blocks.size();
  for (size_t i = 0; blocks && i < a.blocks.size(); ++i) blocks = same_block(a.blocks[i], b.blocks[i]);
  return blocks && a.key == b.key && a.rows == b.rows && a.width == b.width && a.grid_rows == b.grid_rows &&
         a.grid_columns == b.grid_columns && a.places == b.places && a.picture_width == b.picture_width &&
         a.picture_height == b.picture_height && a.values.size() == b.values.size() &&
         (a.values.empty() || std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(float)) == 0);
}

}  // namespace kl::test
