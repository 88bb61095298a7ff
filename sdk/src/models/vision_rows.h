// The rows of one tile: in which order an encoder's Program takes its patches, and what each row brings as step data. Patches that become
// one result row are neighbours, and where the encoder has windows, those of a window are too: so merging and windowed attention need no
// permutation. Pure; thread-safe.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "core/status.h"
#include "models/vision_spec.h"

namespace kl {

struct TileRows {
  uint32_t height = 0, width = 0;  // of the grid of result rows
  std::vector<int32_t> tokens;     // [T] row of the position table
  std::vector<std::array<int32_t, 3>>
      positions;                 // [T] (y, x, 0) in patches; of an encoder with a class token: (0, ..) for its row, (-1, ..) for the others
  std::vector<uint32_t> pixels;  // [T] byte of the patch's first pixel in a tile of 3 * tile_width bytes a line; kNoRowPixel: no patch
  std::vector<std::array<uint32_t, 2>> whole;    // [T] rows [first, end) of the tile: all
  std::vector<std::array<uint32_t, 2>> windows;  // [T] likewise of the row's window; empty for an encoder without
  std::vector<uint32_t> result_rows;             // [height*width] the result row of each place of the grid, line by line
  uint32_t rows() const { return static_cast<uint32_t>(tokens.size()); }
};
inline constexpr uint32_t kNoRowPixel = ~uint32_t{0};

// Sizes in pixels. Errors: invalid_argument (not the encoder's tile, not a multiple of its squares, more than max_patches: named with what
// is right).
Result<TileRows> tile_rows(const VisionSpec& spec, uint32_t tile_width, uint32_t tile_height, uint32_t max_patches);
// The grid of result rows alone, {height, width}. Errors: as above.
Result<std::array<uint32_t, 2>> result_grid(const VisionSpec& spec, uint32_t tile_width, uint32_t tile_height, uint32_t max_patches);

}  // namespace kl
