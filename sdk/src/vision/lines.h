// Lines of pixels as 8-bit RGB: the one place where channel orders and alpha are dealt with. Pure functions; thread-safe.
#pragma once
#include <cstdint>

#include "core/status.h"
#include "vision/pixels.h"

namespace kl {

// c over white under coverage a, rounded as Pillow's alpha_composite over an opaque white ground does it.
constexpr uint8_t over_white(uint32_t c, uint32_t a) {
  const uint32_t sum = ((c * a + 255 * (255 - a)) << 7) + (0x80U << 7);
  return static_cast<uint8_t>((((sum >> 8) + sum) >> 8) >> 7);
}

// Writes `width` RGB pixels. Straight alpha is composed over white; premultiplied colours are added to what of the white shows through.
void rgb_line(const std::byte* from, uint32_t width, PixelFormat format, bool premultiplied, uint8_t* rgb);

// What is wrong with a view, before a pixel of it is read: no data, a side of 0, a stride shorter than a line. Error: invalid_argument.
Status check_view(const PixelView& view);

}  // namespace kl
