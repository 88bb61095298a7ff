#include "vision/lines.h"

#include <algorithm>
#include <cstring>

namespace kl {
namespace {

// Red, Green, Blue: where in a pixel of `Channels` bytes each colour stands. Alpha, if there is one, is the last byte.
template <int Channels, int Red, int Green, int Blue>
void reorder(const uint8_t* from, uint32_t width, bool premultiplied, uint8_t* rgb) {
  for (uint32_t x = 0; x < width; ++x, from += Channels, rgb += 3) {
    if constexpr (Channels == 4) {
      const uint32_t alpha = from[3];
      if (premultiplied) {
        rgb[0] = static_cast<uint8_t>(std::min(255U, from[Red] + 255 - alpha));
        rgb[1] = static_cast<uint8_t>(std::min(255U, from[Green] + 255 - alpha));
        rgb[2] = static_cast<uint8_t>(std::min(255U, from[Blue] + 255 - alpha));
      } else {
        rgb[0] = over_white(from[Red], alpha);
        rgb[1] = over_white(from[Green], alpha);
        rgb[2] = over_white(from[Blue], alpha);
      }
    } else {
      rgb[0] = from[Red];
      rgb[1] = from[Green];
      rgb[2] = from[Blue];
    }
  }
}

}  // namespace

void rgb_line(const std::byte* from, uint32_t width, PixelFormat format, bool premultiplied, uint8_t* rgb) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(from);
  switch (format) {
    case PixelFormat::rgb8:
      std::memcpy(rgb, bytes, size_t{3} * width);
      return;
    case PixelFormat::bgr8:
      reorder<3, 2, 1, 0>(bytes, width, premultiplied, rgb);
      return;
    case PixelFormat::rgba8:
      reorder<4, 0, 1, 2>(bytes, width, premultiplied, rgb);
      return;
    case PixelFormat::bgra8:
      reorder<4, 2, 1, 0>(bytes, width, premultiplied, rgb);
      return;
    case PixelFormat::gray8:
      reorder<1, 0, 0, 0>(bytes, width, premultiplied, rgb);
      return;
  }
}

Status check_view(const PixelView& view) {
  if (view.data == nullptr) return error(Code::invalid_argument, "expected pixels, got null");
  if (view.width == 0 || view.height == 0)
    return error(Code::invalid_argument, "expected a picture of at least 1 x 1 pixels, got %u x %u", view.width, view.height);
  if (static_cast<uint32_t>(view.format) > static_cast<uint32_t>(PixelFormat::gray8))
    return error(Code::invalid_argument, "expected a pixel format from 0 to 4, got %u", static_cast<uint32_t>(view.format));
  const uint64_t line = uint64_t{view.width} * channels(view.format);
  if (view.stride < line)
    return error(Code::invalid_argument, "expected at least %llu bytes from line to line of %u pixels, got %llu",
                 static_cast<unsigned long long>(line), view.width, static_cast<unsigned long long>(view.stride));
  return {};
}

}  // namespace kl
