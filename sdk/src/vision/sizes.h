// The sizes that published processors resize to: their arithmetic, kept to the last rounding (transformers 5.23; functions named there). Sides are at least 1
// and at most 2^30 on both ends. Pure functions.
#pragma once
#include <cstdint>
#include <optional>

namespace kl {

struct Size {
  uint64_t width = 0, height = 0;
  bool operator==(const Size&) const = default;
  uint64_t pixels() const { return width * height; }
};

// Shortest side to `edge` (image_transforms.get_resize_output_image_size).
Size shortest_to(Size from, uint32_t edge);

// Idefics3: longest side to `edge`, the other even (image_processing_idefics3.get_resize_output_image_size), never more than 4,096.
Size longest_to(Size from, uint32_t edge);

// Idefics3: both sides up to multiples of `tile` (resize_for_vision_encoder).
Size up_to_tiles(Size from, uint32_t tile);

// Qwen2-VL: both sides to multiples of `factor`, pixels between the bounds (smart_resize). Nothing: the longer side is more than 200 times the shorter.
std::optional<Size> smart_size(Size from, uint32_t factor, uint64_t min_pixels, uint64_t max_pixels);

}  // namespace kl
