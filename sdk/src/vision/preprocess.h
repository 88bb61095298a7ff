// From a picture to the tiles an encoder takes: the resizing and cutting of each model's published processor. Normalisation is the encoder's first op
// (Patchify), so tiles are 8-bit RGB. Pure functions; thread-safe.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "vision/pixels.h"

namespace kl {

enum class Processor : uint8_t {
  stretch,  // to image_size x image_size, whatever the aspect (Gemma 3: bilinear)
  crop,     // shortest edge to image_size, then the centre (CLIP as transformers runs LLaVA: bicubic)
  pad,      // to a square filled with the mean, then image_size (LLaVA's own)
  split_tiles,  // Idefics3: longest edge to `longest_edge`, up to multiples of image_size, tiles by rows, then the whole at image_size (Lanczos)
  whole_tile,  // Idefics3 with image splitting off: one tile of image_size x image_size
  dynamic      // Qwen2-VL: both sides to multiples of patch * merge, pixels between min_pixels and max_pixels (bicubic)
};
enum class Filter : uint8_t { bilinear, bicubic, lanczos };

// How a model's pictures are prepared; from the projector's file, with an app's budget applied (limit_rows).
struct PreprocessSpec {
  Processor processor = Processor::stretch;
  Filter filter = Filter::bilinear;
  uint32_t image_size = 0;                  // pixels along a side of a tile; dynamic: unused
  uint32_t patch = 0;                       // pixels along a side of a patch
  uint32_t merge = 1;                       // patches along a side of what becomes one row
  uint32_t longest_edge = 0;                // split_tiles
  uint64_t min_pixels = 0, max_pixels = 0;  // dynamic
  float mean[3] = {0.5f, 0.5f, 0.5f};
  float deviation[3] = {0.5f, 0.5f, 0.5f};
  std::string text() const;  // every field: part of a feature's key
};

struct Prepared {
  std::vector<Picture> tiles;  // in the order in which they are encoded
  // Idefics3: tiles 0 .. rows * columns - 1 are the grid by rows, the last tile is the whole picture. 0, 0: one tile, not cut.
  uint32_t grid_rows = 0, grid_columns = 0;
};

// Errors: invalid_argument (an empty view, an aspect ratio the processor refuses), out_of_memory (more than max_bytes of pixels, said before anything is allocated).
Result<Prepared> preprocess(const PixelView& picture, const PreprocessSpec& spec, uint64_t max_bytes);

// Rows that a picture of this size becomes, without looking at a pixel.
Result<uint32_t> rows_for(uint32_t width, uint32_t height, const PreprocessSpec& spec);

// A spec whose pictures of this size give at most max_rows rows, by the model's own means (fewer tiles, a lower longest edge, a lower max_pixels); what is
// still too many afterwards is left to pooling and pruning (reduce_rows.h). max_rows 0: the spec as it is.
PreprocessSpec limit_rows(const PreprocessSpec& spec, uint32_t width, uint32_t height, uint32_t max_rows);

}  // namespace kl
