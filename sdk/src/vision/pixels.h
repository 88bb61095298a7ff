// Pictures as the library passes them on: pixels of an app or a file, seen without a copy, and RGB pictures of our own.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kl {

enum class PixelFormat : uint8_t { rgb8, rgba8, bgr8, bgra8, gray8 };

constexpr uint32_t channels(PixelFormat f) {
  return f == PixelFormat::gray8 ? 1 : f == PixelFormat::rgb8 || f == PixelFormat::bgr8 ? 3 : 4;
}

// Somebody else's pixels: line y begins at data + y * stride. The memory must stay as it is while the view is used.
struct PixelView {
  const std::byte* data = nullptr;
  uint32_t width = 0, height = 0;
  size_t stride = 0;  // bytes, at least width * channels(format)
  PixelFormat format = PixelFormat::rgb8;
};

// A picture of our own: RGB, 8 bits each, lines without gaps, upright (orientation applied), without alpha.
struct Picture {
  uint32_t width = 0, height = 0;
  std::vector<uint8_t> rgb;  // [height][width][3]
  PixelView view() const { return {reinterpret_cast<const std::byte*>(rgb.data()), width, height, size_t{3} * width, PixelFormat::rgb8}; }
};

}  // namespace kl
