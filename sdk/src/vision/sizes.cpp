#include "vision/sizes.h"

#include <algorithm>
#include <cmath>

namespace kl {
namespace {

constexpr double kMostAspect = 200;
constexpr uint64_t kMostIdefics3 = 4096;

uint64_t whole(double value) { return static_cast<uint64_t>(std::max(0.0, value)); }
uint64_t up_to_multiple(double value, uint32_t of) { return whole(std::ceil(value / of)) * of; }

}  // namespace

Size shortest_to(Size from, uint32_t edge) {
  const bool upright = from.width <= from.height;
  const uint64_t shorter = upright ? from.width : from.height;
  const uint64_t longer = upright ? from.height : from.width;
  const uint64_t other = whole(static_cast<double>(edge * longer) / static_cast<double>(shorter));
  return upright ? Size{edge, other} : Size{other, edge};
}

Size longest_to(Size from, uint32_t edge) {
  const double aspect = static_cast<double>(from.width) / static_cast<double>(from.height);
  Size to;
  if (from.width >= from.height) {
    to = {edge, whole(edge / aspect)};
    to.height += to.height % 2;
  } else {
    to = {whole(edge * aspect), edge};
    to.width += to.width % 2;
  }
  to = {std::max<uint64_t>(to.width, 1), std::max<uint64_t>(to.height, 1)};

  const double bounded = static_cast<double>(to.width) / static_cast<double>(to.height);
  if (to.width >= to.height && to.width > kMostIdefics3) {
    to = {kMostIdefics3, whole(kMostIdefics3 / bounded)};
  } else if (to.height > to.width && to.height > kMostIdefics3) {
    to = {whole(kMostIdefics3 * bounded), kMostIdefics3};
  }
  return {std::max<uint64_t>(to.width, 1), std::max<uint64_t>(to.height, 1)};
}

Size up_to_tiles(Size from, uint32_t tile) {
  const double aspect = static_cast<double>(from.width) / static_cast<double>(from.height);
  if (from.width >= from.height) {
    const uint64_t width = up_to_multiple(static_cast<double>(from.width), tile);
    return {width, up_to_multiple(static_cast<double>(whole(static_cast<double>(width) / aspect)), tile)};
  }
  const uint64_t height = up_to_multiple(static_cast<double>(from.height), tile);
  return {up_to_multiple(static_cast<double>(whole(static_cast<double>(height) * aspect)), tile), height};
}

std::optional<Size> smart_size(Size from, uint32_t factor, uint64_t min_pixels, uint64_t max_pixels) {
  const auto width = static_cast<double>(from.width);
  const auto height = static_cast<double>(from.height);
  if (std::max(width, height) / std::min(width, height) > kMostAspect) return std::nullopt;
  const double f = factor;
  Size to{whole(std::nearbyint(width / f)) * factor, whole(std::nearbyint(height / f)) * factor};  // ties to even, as Python's round
  if (to.pixels() > max_pixels) {
    const double beta = std::sqrt(width * height / static_cast<double>(max_pixels));
    to.width = std::max<uint64_t>(factor, whole(std::floor(width / beta / f)) * factor);
    to.height = std::max<uint64_t>(factor, whole(std::floor(height / beta / f)) * factor);
  } else if (to.pixels() < min_pixels) {
    const double beta = std::sqrt(static_cast<double>(min_pixels) / (width * height));
    to.width = whole(std::ceil(width * beta / f)) * factor;
    to.height = whole(std::ceil(height * beta / f)) * factor;
  }
  return Size{std::max<uint64_t>(to.width, factor), std::max<uint64_t>(to.height, factor)};
}

}  // namespace kl
