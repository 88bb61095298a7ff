// The quantizer that q4_k and q5_k share: scales and minima of the 8 sub-blocks of 32 values, x = d s q - dmin m with q in 0..levels.
#pragma once
#include "core/formats/rows.h"

namespace kl::formats {

struct KScales {
  std::byte packed[12] = {};
  uint16_t d = 0, dmin = 0;  // f16
  float step[8], offset[8];  // of each sub-block as a reader will see them: x = step q - offset
  int code(float x, size_t j, int levels) const { return round_to((x + offset[j]) * inverse(step[j]), 0, levels); }
};

inline KScales k_scales(const float* x, int levels) {
  float scale[8], min[8], max_scale = 0.0f, max_min = 0.0f;
  for (size_t j = 0; j < 8; ++j) {
    const Extent e = extent(x + 32 * j, 32);
    const float low = e.min < 0.0f ? e.min : 0.0f;  // m is not negative: a sub-block above zero starts at zero
    scale[j] = (e.max - low) / static_cast<float>(levels);
    min[j] = -low;
    if (scale[j] > max_scale) max_scale = scale[j];
    if (min[j] > max_min) max_min = min[j];
  }
  KScales out;
  out.d = f32_to_f16(max_scale / 63.0f);
  out.dmin = f32_to_f16(max_min / 63.0f);
  const float d = f16_to_f32(out.d), dmin = f16_to_f32(out.dmin);
  for (size_t j = 0; j < 8; ++j) {
    const int s = round_to(scale[j] * inverse(d), 0, 63), m = round_to(min[j] * inverse(dmin), 0, 63);
    set_k_scale_min(out.packed, j, {static_cast<uint8_t>(s), static_cast<uint8_t>(m)});
    out.step[j] = d * static_cast<float>(s);
    out.offset[j] = dmin * static_cast<float>(m);
  }
  return out;
}

}  // namespace kl::formats
