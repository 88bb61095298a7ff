// EXIF orientation: how a stored picture is turned to stand upright. The eight values and what they do are EXIF's (tag 0x0112).
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "vision/pixels.h"

namespace kl {

// From an EXIF block as JPEG's APP1 segment has it ("Exif\0\0", then TIFF) or without those six bytes, as PNG and WebP have it.
// 1 when it says nothing, or nonsense: metadata that cannot be read is no reason to refuse a picture. Thread-safe.
uint8_t exif_orientation(std::span<const std::byte> exif);

constexpr bool swaps_sides(uint8_t orientation) { return orientation >= 5; }

// Puts lines that arrive in the file's order where the upright picture has them: one copy, no second picture.
class UprightWriter {
 public:
  // picture: sized here, for stored_width x stored_height pixels; must outlive the writer.
  UprightWriter(Picture& picture, uint32_t stored_width, uint32_t stored_height, uint8_t orientation);
  // Line y of the stored picture, stored_width RGB pixels.
  void put(uint32_t y, const uint8_t* rgb) const;

 private:
  uint8_t* origin_;  // of stored pixel (0, 0)
  ptrdiff_t step_x_, step_y_;
  uint32_t width_;
};

}  // namespace kl
