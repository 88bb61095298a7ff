#version 450
#extension GL_GOOGLE_include_directive : require
// patchify: out[t][c][y][x] = (pixel / 255 - mean[c]) / deviation[c] over the row's patch; zeros for a row without one.
//                                                                               pixels uint8 [.. .. 3] -> out [T 3*size*size]
#include "include/common.glsl"

layout(push_constant) uniform Push {
  uint row_pixel_at;  // word of the step
  uint size;
  float mean_0, mean_1, mean_2, deviation_0, deviation_1, deviation_2;
};
layout(std430, binding = 1) restrict readonly buffer Pixels { uint pixels[]; };
layout(std430, binding = 2) restrict writeonly buffer Out { float y[]; };

layout(local_size_x = 64) in;

void main() {
  uint t = gl_WorkGroupID.y, i = gl_GlobalInvocationID.x, area = size * size;
  if (t >= step_word[STEP_ROWS] || i >= 3u * area) return;
  uint first = step_word[row_pixel_at + t];
  if (first == ~0u) {
    y[t * 3u * area + i] = 0.0;
    return;
  }
  uint c = i / area, line = (i % area) / size, column = i % size;
  uint at = first + line * step_word[STEP_PIXEL_STRIDE] + 3u * column + c;
  float mean = c == 0u ? mean_0 : c == 1u ? mean_1 : mean_2, deviation = c == 0u ? deviation_0 : c == 1u ? deviation_1 : deviation_2;
  y[t * 3u * area + i] = (float((pixels[at >> 2] >> (8u * (at & 3u))) & 255u) / 255.0 - mean) / deviation;
}
