// From a picture's file to pixels: JPEG (libjpeg-turbo), PNG (libpng), WebP (libwebp), BMP; told apart by their first bytes, never by a name.
// What comes out is 8-bit RGB, upright by the file's EXIF orientation, with alpha composed over white. Colour profiles are not applied, as in Pillow.
// Files come from strangers: sizes are held to the limits from the header, before anything that depends on them is allocated (robustness rules R9, R12);
// a damaged or cut-off file is an error and never half a picture. Pure functions; thread-safe. Built without KINGLET_VISION, files are `unsupported`.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/status.h"
#include "vision/pixels.h"

namespace kl {

enum class ImageFormat : uint8_t { jpeg, png, webp, bmp };
const char* image_format_name(ImageFormat format);  // "JPEG"

struct DecodeLimits {
  uint32_t max_side = 16384;                  // pixels along either side
  uint64_t max_pixels = uint64_t{100} << 20;  // width * height
  uint64_t max_bytes = uint64_t{1024} << 20;  // memory in use at once while decoding, the picture included and the file not
};

struct ImageHeader {
  ImageFormat format = ImageFormat::jpeg;
  uint32_t width = 0, height = 0;  // of the picture, upright
  uint8_t orientation = 1;         // EXIF: 1 to 8, 1: stored upright
};

// What the file's header says, without decoding or allocating by it; says nothing about the rest of the file.
// Errors: unsupported (no format we read), corrupt (no whole header, a side of 0).
Result<ImageHeader> probe_image(std::span<const std::byte> file);

// Errors: unsupported (no format we read, or a variant of one that nobody writes), corrupt (damaged or cut off), out_of_memory (over a limit).
// An animation gives its first frame.
Result<Picture> decode_image(std::span<const std::byte> file, const DecodeLimits& limits);

// A copy of somebody's pixels. premultiplied: the colours of rgba8 and bgra8 are already multiplied by alpha; of no account for the other formats.
// Errors: invalid_argument (no data, a side of 0, a stride shorter than a line), out_of_memory (over a limit).
Result<Picture> from_view(const PixelView& view, bool premultiplied, const DecodeLimits& limits);

}  // namespace kl
