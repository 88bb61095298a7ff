#include "vision/orientation.h"

#include <cstring>
#include <utility>

namespace kl {

UprightWriter::UprightWriter(Picture& picture, uint32_t stored_width, uint32_t stored_height, uint8_t orientation) : width_(stored_width) {
  const bool swapped = swaps_sides(orientation);
  picture.width = swapped ? stored_height : stored_width;
  picture.height = swapped ? stored_width : stored_height;
  picture.rgb.resize(size_t{3} * picture.width * picture.height);
  // Stored x goes along the upright picture's x, or its y when sides swap; each axis may run backwards.
  const bool x_back = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool y_back = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const auto pixel = ptrdiff_t{3};
  const auto line = pixel * static_cast<ptrdiff_t>(picture.width);
  step_x_ = swapped ? line : pixel;
  step_y_ = swapped ? pixel : line;
  origin_ = picture.rgb.data();
  if (x_back) origin_ += step_x_ * (static_cast<ptrdiff_t>(stored_width) - 1);
  if (y_back) origin_ += step_y_ * (static_cast<ptrdiff_t>(stored_height) - 1);
  if (x_back) step_x_ = -step_x_;
  if (y_back) step_y_ = -step_y_;
}

void UprightWriter::put(uint32_t y, const uint8_t* rgb) const {
  uint8_t* to = origin_ + step_y_ * static_cast<ptrdiff_t>(y);
  if (step_x_ == 3) {
    std::memcpy(to, rgb, size_t{3} * width_);
    return;
  }
  for (uint32_t x = 0; x + 1 < width_; ++x, rgb += 3, to += step_x_) std::memcpy(to, rgb, 3);
  std::memcpy(to, rgb, 3);
}

}  // namespace kl
