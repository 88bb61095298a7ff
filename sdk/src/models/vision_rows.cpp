#include "models/vision_rows.h"

#include <algorithm>

namespace kl {
namespace {

struct Square {
  uint32_t y = 0, x = 0;  // in the grid of result rows
};

// All squares of the grid, window after window (lines of windows, squares line by line within); without windows line by line. `begins` gets
// the index of each window's first square, and the count.
std::vector<Square> squares_in_order(uint32_t height, uint32_t width, uint32_t window, std::vector<uint32_t>& begins) {
  const uint32_t side = window > 0 ? window : std::max(height, width);
  std::vector<Square> order;
  order.reserve(size_t{height} * width);
  for (uint32_t top = 0; top < height; top += side) {
    for (uint32_t left = 0; left < width; left += side) {
      begins.push_back(static_cast<uint32_t>(order.size()));
      for (uint32_t y = top; y < std::min(height, top + side); ++y) {
        for (uint32_t x = left; x < std::min(width, left + side); ++x) order.push_back({y, x});
      }
    }
  }
  begins.push_back(static_cast<uint32_t>(order.size()));
  return order;
}

}  // namespace

Result<std::array<uint32_t, 2>> result_grid(const VisionSpec& s, uint32_t width, uint32_t height, uint32_t max_patches) {
  const uint32_t square = s.patch * s.merge;
  if (s.image_size > 0) {
    if (width != s.image_size || height != s.image_size) {
      return error(Code::invalid_argument, "a tile of %u x %u pixels; this encoder takes %u x %u", width, height, s.image_size,
                   s.image_size);
    }
  } else if (width == 0 || height == 0 || width % square != 0 || height % square != 0) {
    return error(Code::invalid_argument, "a tile of %u x %u pixels; this encoder takes multiples of %u", width, height, square);
  }
  const uint64_t patches = uint64_t{height / s.patch} * (width / s.patch);
  if (patches > max_patches) {
    return error(Code::invalid_argument, "a tile of %u x %u pixels has %llu patches; the limit is %u", width, height,
                 static_cast<unsigned long long>(patches), max_patches);
  }
  return std::array<uint32_t, 2>{height / s.patch / s.merge, width / s.patch / s.merge};
}

Result<TileRows> tile_rows(const VisionSpec& s, uint32_t tile_width, uint32_t tile_height, uint32_t max_patches) {
  KL_ASSIGN(const auto grid, result_grid(s, tile_width, tile_height, max_patches));
  TileRows t;
  t.height = grid[0];
  t.width = grid[1];
  const uint32_t each = s.merge * s.merge, first = s.class_token ? 1 : 0, columns = t.width * s.merge;
  const uint32_t rows = first + t.height * t.width * each;
  t.whole.assign(rows, {0, rows});
  t.result_rows.resize(size_t{t.height} * t.width);
  if (s.class_token) {
    t.tokens.push_back(0);
    t.positions.push_back({0, 0, 0});
    t.pixels.push_back(kNoRowPixel);
  }
  std::vector<uint32_t> begins;
  const std::vector<Square> order = squares_in_order(t.height, t.width, s.window / s.merge, begins);
  for (uint32_t at = 0; at < order.size(); ++at) {
    const Square square = order[at];
    t.result_rows[size_t{square.y} * t.width + square.x] = first + at;
    for (uint32_t i = 0; i < each; ++i) {
      const uint32_t y = square.y * s.merge + i / s.merge, x = square.x * s.merge + i % s.merge;
      t.tokens.push_back(static_cast<int32_t>(first + y * columns + x));
      const auto row_y = static_cast<int32_t>(y), row_x = static_cast<int32_t>(x);
      t.positions.push_back(s.class_token ? std::array<int32_t, 3>{-1, row_x, 0} : std::array<int32_t, 3>{row_y, row_x, 0});
      t.pixels.push_back(3 * (y * s.patch * tile_width + x * s.patch));
    }
  }
  if (s.window == 0) return t;
  for (size_t w = 0; w + 1 < begins.size(); ++w) {
    t.windows.insert(t.windows.end(), size_t{begins[w + 1] - begins[w]} * each, {begins[w] * each, begins[w + 1] * each});
  }
  return t;
}

}  // namespace kl
