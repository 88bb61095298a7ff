#include "vision/features.h"

#include "core/checked.h"

namespace kl {

std::string FeatureKey::hex() const {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

Status check_features(const Features& f) {
  if (f.rows == 0 || f.width == 0 || checked_mul<uint64_t>(f.rows, f.width) != f.values.size()) {
    return error(Code::corrupt, "features: expected %u rows of %u values, got %zu values", f.rows, f.width, f.values.size());
  }
  if (!f.places.empty() && f.places.size() != f.rows) {
    return error(Code::corrupt, "features: expected a place for each of %u rows or none, got %zu", f.rows, f.places.size());
  }
  uint64_t row = 0;
  for (const FeatureBlock& block : f.blocks) {
    const uint64_t cells = uint64_t{block.height} * block.width;
    if (block.rows == 0 || block.rows > cells || block.rows > f.rows - row || (f.places.empty() && block.rows != cells)) {
      return error(Code::corrupt, "features: a block of %u rows in a grid of %u x %u does not fit what is left of %u rows", block.rows,
                   block.height, block.width, f.rows);
    }
    for (uint64_t end = row + block.rows; row < end; ++row) {
      if (f.places.empty()) continue;
      const auto [y, x] = f.places[row];
      if (y >= block.height || x >= block.width) {
        return error(Code::corrupt, "features: the place (%u, %u) is outside its grid of %u x %u", y, x, block.height, block.width);
      }
    }
  }
  if (row != f.rows) {
    return error(Code::corrupt, "features: expected blocks of %u rows in all, got %llu", f.rows, static_cast<unsigned long long>(row));
  }
  return {};
}

}  // namespace kl
