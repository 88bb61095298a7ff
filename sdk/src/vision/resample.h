// Antialiased resizing of 8-bit RGB, in two passes of fixed-point sums: along lines first, then across them, with 8 bits in between. Equal to the
// last bit to the two implementations that published processors use (tests/vision/resample_test.cpp). Pure functions; thread-safe.
#pragma once
#include <cstdint>
#include <vector>

#include "vision/pixels.h"
#include "vision/preprocess.h"

namespace kl {

// Whose sums. Both have the same filters (bicubic with a = -0.5) and weights, and round the weights differently: results differ by 1 at a few
// pixels in a thousand.
enum class Sums : uint8_t {
  torch,  // 16-bit weights, as many fraction bits as the largest allows (torchvision's resize of uint8 tensors)
  pillow  // 22 fraction bits (Pillow's resize, wherever it goes along lines first: always between squares)
};

// Where lines come from. Called with ascending y by one thread.
class LineSource {
 public:
  virtual ~LineSource() = default;
  virtual uint32_t width() const = 0;
  virtual uint32_t height() const = 0;
  // Line y, [width][3]; valid until the next call.
  virtual const uint8_t* line(uint32_t y) = 0;
  // Line y > 0 is known to equal the one before: the work on that one is used again.
  virtual bool repeats(uint32_t /*y*/) const { return false; }
};

// Lines of a view of any format, alpha over white; RGB is passed on without a copy.
class ViewLines final : public LineSource {
 public:
  explicit ViewLines(const PixelView& view) : view_(view) {}
  uint32_t width() const override { return view_.width; }
  uint32_t height() const override { return view_.height; }
  const uint8_t* line(uint32_t y) override;

 private:
  PixelView view_;
  std::vector<uint8_t> converted_;
};

// A rectangle of the resized picture.
struct Window {
  uint32_t left = 0, top = 0, width = 0, height = 0;
};

// The window of the source resized to width x height; only what the window needs is computed. Sides 1 to 2^30, window not empty and inside.
Picture resample(LineSource& source, uint32_t width, uint32_t height, const Window& window, Filter filter, Sums sums);
// The whole of it.
Picture resample(const PixelView& view, uint32_t width, uint32_t height, Filter filter, Sums sums);

// Bytes that resample() uses at most, its result included.
uint64_t resample_bytes(uint32_t from_width, uint32_t from_height, uint32_t width, uint32_t height, const Window& window, Filter filter);

}  // namespace kl
