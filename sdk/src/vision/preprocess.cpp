#include "vision/preprocess.h"

#include <algorithm>
#include <cstring>

#include "vision/lines.h"
#include "vision/resample.h"
#include "vision/sizes.h"

namespace kl {
namespace {

constexpr uint64_t kMostSide = uint64_t{1} << 30;  // resample's

Status check_spec(const PreprocessSpec& spec) {
  const bool tiled = spec.processor != Processor::dynamic;
  if (spec.patch == 0 || spec.merge == 0 || spec.patch > 4096 || spec.merge > 4096)
    return error(Code::invalid_argument, "expected a patch and a merge from 1 to 4096, got %u and %u", spec.patch, spec.merge);
  if (tiled && (spec.image_size < spec.patch || spec.image_size > 16384))
    return error(Code::invalid_argument, "expected an image size from the patch's %u to 16384, got %u", spec.patch, spec.image_size);
  if (!tiled && spec.max_pixels == 0) return error(Code::invalid_argument, "expected a maximum of pixels above 0");
  return {};
}

Status check_sides(uint64_t width, uint64_t height) {
  if (width >= 1 && height >= 1 && width <= kMostSide && height <= kMostSide) return {};
  return error(Code::invalid_argument, "expected sides from 1 to %llu pixels, got %llu x %llu", static_cast<unsigned long long>(kMostSide),
               static_cast<unsigned long long>(width), static_cast<unsigned long long>(height));
}

Result<Size> dynamic_size(uint32_t width, uint32_t height, const PreprocessSpec& spec) {
  const std::optional<Size> to = smart_size({width, height}, spec.patch * spec.merge, spec.min_pixels, spec.max_pixels);
  if (!to) return error(Code::invalid_argument, "expected sides at most 200 times each other, got %u x %u pixels", width, height);
  KL_TRY(check_sides(to->width, to->height));
  return *to;
}

// Sizes on the way of Idefics3: the picture with its longest edge as asked, and that up to whole tiles.
struct SplitSizes {
  Size fitted, tiled;
  uint64_t columns = 0, rows = 0;  // 0, 0: one tile
};

Size fitted_size(uint32_t width, uint32_t height, const PreprocessSpec& spec) {
  return spec.longest_edge == 0 ? Size{width, height} : longest_to({width, height}, spec.longest_edge);
}

SplitSizes split_sizes(uint32_t width, uint32_t height, const PreprocessSpec& spec) {
  SplitSizes sizes;
  sizes.fitted = fitted_size(width, height, spec);
  sizes.tiled = up_to_tiles(sizes.fitted, spec.image_size);
  if (sizes.tiled.width > spec.image_size || sizes.tiled.height > spec.image_size) {
    sizes.columns = sizes.tiled.width / spec.image_size;
    sizes.rows = sizes.tiled.height / spec.image_size;
  }
  return sizes;
}

uint64_t tiles_of(uint32_t width, uint32_t height, const PreprocessSpec& spec) {
  if (spec.processor != Processor::split_tiles) return 1;
  const SplitSizes sizes = split_sizes(width, height, spec);
  return sizes.rows * sizes.columns + 1;
}

// What a preprocessor may still allocate.
class Room {
 public:
  explicit Room(uint64_t bytes) : limit_(bytes) {}
  // One resize of `from` to `to`, of which `window` is kept while `held` other bytes are.
  Status check(Size from, Size to, const Window& window, Filter filter, uint64_t held) const {
    KL_TRY(check_sides(to.width, to.height));
    const uint64_t bytes = held + resample_bytes(static_cast<uint32_t>(from.width), static_cast<uint32_t>(from.height),
                                                 static_cast<uint32_t>(to.width), static_cast<uint32_t>(to.height), window, filter);
    if (bytes <= limit_) return {};
    return error(Code::out_of_memory, "resizing the picture to %llu x %llu pixels takes %s bytes, %s are allowed",
                 static_cast<unsigned long long>(to.width), static_cast<unsigned long long>(to.height), with_commas(bytes).c_str(),
                 with_commas(limit_).c_str());
  }
  Status check(Size from, Size to, Filter filter, uint64_t held) const {
    KL_TRY(check_sides(to.width, to.height));
    return check(from, to, {0, 0, static_cast<uint32_t>(to.width), static_cast<uint32_t>(to.height)}, filter, held);
  }

 private:
  uint64_t limit_;
};

Picture resized(const PixelView& view, Size to, const PreprocessSpec& spec) {
  return resample(view, static_cast<uint32_t>(to.width), static_cast<uint32_t>(to.height), spec.filter, Sums::torch);
}

Result<Prepared> one_tile(Picture tile) {
  Prepared prepared;
  prepared.tiles.push_back(std::move(tile));
  return prepared;
}

// Gemma 3, SigLIP: to the square, whatever the aspect.
Result<Prepared> stretch(const PixelView& view, const PreprocessSpec& spec, const Room& room) {
  const Size to{spec.image_size, spec.image_size};
  KL_TRY(room.check({view.width, view.height}, to, spec.filter, 0));
  return one_tile(resized(view, to, spec));
}

// CLIP: the shorter side to the tile's, then the middle; what is cut off is never computed.
Result<Prepared> crop(const PixelView& view, const PreprocessSpec& spec, const Room& room) {
  const Size to = shortest_to({view.width, view.height}, spec.image_size);
  KL_TRY(check_sides(to.width, to.height));
  const Window middle{static_cast<uint32_t>((to.width - spec.image_size) / 2), static_cast<uint32_t>((to.height - spec.image_size) / 2),
                      spec.image_size, spec.image_size};
  KL_TRY(room.check({view.width, view.height}, to, middle, spec.filter, 0));
  ViewLines lines(view);
  return one_tile(resample(lines, static_cast<uint32_t>(to.width), static_cast<uint32_t>(to.height), middle, spec.filter, Sums::torch));
}

// A picture in the middle of a square of one colour, made line by line.
class PaddedLines final : public LineSource {
 public:
  PaddedLines(const PixelView& view, const float mean[3])
      : inner_(view), side_(std::max(view.width, view.height)), empty_(size_t{3} * side_) {
    for (size_t i = 0; i < empty_.size(); ++i) empty_[i] = static_cast<uint8_t>(std::clamp(mean[i % 3] * 255.0F, 0.0F, 255.0F));
    padded_ = empty_;
    left_ = (side_ - view.width) / 2;
    top_ = (side_ - view.height) / 2;
  }
  uint32_t width() const override { return side_; }
  uint32_t height() const override { return side_; }
  const uint8_t* line(uint32_t y) override {
    if (y < top_ || y - top_ >= inner_.height()) return empty_.data();
    std::memcpy(padded_.data() + size_t{3} * left_, inner_.line(y - top_), size_t{3} * inner_.width());
    return padded_.data();
  }
  bool repeats(uint32_t y) const override { return (y > 0 && y < top_) || y > top_ + inner_.height(); }

 private:
  ViewLines inner_;
  uint32_t side_;
  uint32_t left_ = 0, top_ = 0;
  std::vector<uint8_t> empty_, padded_;  // [side][3]
};

// LLaVA's own code: Pillow resizes there.
Result<Prepared> pad(const PixelView& view, const PreprocessSpec& spec, const Room& room) {
  const uint64_t side = std::max(view.width, view.height);
  KL_TRY(room.check({side, side}, {spec.image_size, spec.image_size}, spec.filter, 6 * side));
  PaddedLines lines(view, spec.mean);
  return one_tile(resample(lines, spec.image_size, spec.image_size, {0, 0, spec.image_size, spec.image_size}, spec.filter, Sums::pillow));
}

// Idefics3 without splitting: two resizes, as there.
Result<Prepared> whole_tile(const PixelView& view, const PreprocessSpec& spec, const Room& room) {
  const Size from{view.width, view.height};
  const Size fitted = fitted_size(view.width, view.height, spec);
  const Size tile{spec.image_size, spec.image_size};
  if (fitted == from || fitted == tile) {
    KL_TRY(room.check(from, tile, spec.filter, 0));
    return one_tile(resized(view, tile, spec));
  }
  KL_TRY(room.check(from, fitted, spec.filter, 0));
  KL_TRY(room.check(fitted, tile, spec.filter, 3 * fitted.pixels()));
  const Picture between = resized(view, fitted, spec);
  return one_tile(resized(between.view(), tile, spec));
}

Picture cut(const Picture& from, uint32_t left, uint32_t top, uint32_t side) {
  Picture tile{side, side, std::vector<uint8_t>(size_t{3} * side * side)};
  for (uint32_t y = 0; y < side; ++y)
    std::memcpy(tile.rgb.data() + size_t{3} * y * side, from.rgb.data() + 3 * (size_t{top + y} * from.width + left), size_t{3} * side);
  return tile;
}

// Idefics3: tiles of the picture at its full size, and the whole of it as the last.
Result<Prepared> split_tiles(const PixelView& view, const PreprocessSpec& spec, const Room& room) {
  const SplitSizes sizes = split_sizes(view.width, view.height, spec);
  const Size from{view.width, view.height};
  const Size tile{spec.image_size, spec.image_size};
  KL_TRY(room.check(from, sizes.fitted, spec.filter, 0));
  KL_TRY(room.check(sizes.fitted, sizes.tiled, spec.filter, 3 * sizes.fitted.pixels()));
  KL_TRY(room.check(sizes.tiled, tile, spec.filter, 6 * sizes.tiled.pixels()));

  Picture tiled;
  {
    const Picture fitted = resized(view, sizes.fitted, spec);
    tiled = resized(fitted.view(), sizes.tiled, spec);
  }
  if (sizes.rows == 0) return one_tile(std::move(tiled));
  Prepared prepared;
  prepared.grid_rows = static_cast<uint32_t>(sizes.rows);
  prepared.grid_columns = static_cast<uint32_t>(sizes.columns);
  for (uint32_t row = 0; row < prepared.grid_rows; ++row) {
    for (uint32_t column = 0; column < prepared.grid_columns; ++column)
      prepared.tiles.push_back(cut(tiled, column * spec.image_size, row * spec.image_size, spec.image_size));
  }
  prepared.tiles.push_back(resized(tiled.view(), tile, spec));
  return prepared;
}

// Qwen2-VL: as large as it is, to whole merged patches.
Result<Prepared> dynamic(const PixelView& view, const PreprocessSpec& spec, const Room& room) {
  KL_ASSIGN(const Size to, dynamic_size(view.width, view.height, spec));
  KL_TRY(room.check({view.width, view.height}, to, spec.filter, 0));
  return one_tile(resized(view, to, spec));
}

using Preprocess = Result<Prepared> (*)(const PixelView& view, const PreprocessSpec& spec, const Room& room);

struct ProcessorRow {
  Processor processor;
  const char* name;
  Preprocess run;
};
constexpr ProcessorRow kProcessors[] = {
    {Processor::stretch, "stretch", stretch},
    {Processor::crop, "crop", crop},
    {Processor::pad, "pad", pad},
    {Processor::split_tiles, "split_tiles", split_tiles},
    {Processor::whole_tile, "whole_tile", whole_tile},
    {Processor::dynamic, "dynamic", dynamic},
};

const ProcessorRow* row_of(Processor processor) {
  for (const ProcessorRow& row : kProcessors) {
    if (row.processor == processor) return &row;
  }
  return nullptr;
}

const char* filter_name(Filter filter) {
  switch (filter) {
    case Filter::bilinear:
      return "bilinear";
    case Filter::bicubic:
      return "bicubic";
    case Filter::lanczos:
      return "lanczos";
  }
  return "?";
}

}  // namespace

std::string PreprocessSpec::text() const {
  const ProcessorRow* row = row_of(processor);
  // %a: every bit of a float.
  return format("%s %s size=%u patch=%u merge=%u edge=%u min=%llu max=%llu mean=%a,%a,%a deviation=%a,%a,%a",
                row == nullptr ? "?" : row->name, filter_name(filter), image_size, patch, merge, longest_edge,
                static_cast<unsigned long long>(min_pixels), static_cast<unsigned long long>(max_pixels), static_cast<double>(mean[0]),
                static_cast<double>(mean[1]), static_cast<double>(mean[2]), static_cast<double>(deviation[0]),
                static_cast<double>(deviation[1]), static_cast<double>(deviation[2]));
}

Result<Prepared> preprocess(const PixelView& picture, const PreprocessSpec& spec, uint64_t max_bytes) {
  KL_TRY(check_view(picture));
  KL_TRY(check_sides(picture.width, picture.height));
  KL_TRY(check_spec(spec));
  const ProcessorRow* row = row_of(spec.processor);
  if (row == nullptr)
    return error(Code::invalid_argument, "expected a processor from 0 to 5, got %u", static_cast<uint32_t>(spec.processor));
  return row->run(picture, spec, Room(max_bytes));
}

Result<uint32_t> rows_for(uint32_t width, uint32_t height, const PreprocessSpec& spec) {
  KL_TRY(check_sides(width, height));
  KL_TRY(check_spec(spec));
  uint64_t rows = 0;
  if (spec.processor == Processor::dynamic) {
    KL_ASSIGN(const Size to, dynamic_size(width, height, spec));
    rows = (to.width / (spec.patch * spec.merge)) * (to.height / (spec.patch * spec.merge));
  } else {
    const uint64_t side = spec.image_size / spec.patch / spec.merge;
    rows = side * side * tiles_of(width, height, spec);
  }
  if (rows > UINT32_MAX) return error(Code::invalid_argument, "%u x %u pixels would be %s rows", width, height, with_commas(rows).c_str());
  return static_cast<uint32_t>(rows);
}

PreprocessSpec limit_rows(const PreprocessSpec& spec, uint32_t width, uint32_t height, uint32_t max_rows) {
  const auto fits = [&](const PreprocessSpec& tried) {
    const Result<uint32_t> rows = rows_for(width, height, tried);
    return !rows.ok() || *rows <= max_rows;  // what cannot be prepared at all is preprocess's to report
  };
  if (max_rows == 0 || fits(spec)) return spec;
  PreprocessSpec limited = spec;
  if (spec.processor == Processor::split_tiles) {
    // One tile less along the longest edge at a time, down to the whole picture in one.
    const Size tiled = split_sizes(width, height, spec).tiled;
    for (uint64_t tiles = std::max(tiled.width, tiled.height) / spec.image_size - 1; tiles >= 1; --tiles) {
      limited.longest_edge = static_cast<uint32_t>(tiles * spec.image_size);
      if (fits(limited)) break;
    }
    return limited;
  }
  if (spec.processor == Processor::dynamic) {
    // The largest area that fits; rows grow with it.
    const uint64_t row_pixels = uint64_t{spec.patch} * spec.merge * spec.patch * spec.merge;
    uint64_t low = row_pixels;
    uint64_t high = std::max(low, std::min(spec.max_pixels, row_pixels * max_rows));
    const auto at = [&](uint64_t pixels) {
      limited.max_pixels = pixels;
      limited.min_pixels = std::min(spec.min_pixels, pixels);
      return limited;
    };
    while (low < high) {
      const uint64_t middle = low + (high - low + 1) / 2;
      if (fits(at(middle))) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return at(low);
  }
  return spec;  // always the same number of rows
}

}  // namespace kl
