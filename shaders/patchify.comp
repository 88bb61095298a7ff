#version 450
#extension GL_GOOGLE_include_directive : require
// patchify: out[t][c][y][x] = (pixel / 255 - mean[c]) / deviation[c] over the row's patch; zeros for a row without one.
//                                                                               pixels uint8 [.. .. 3] -> out [T 3*size*size]
#include "include/common.glsl"

layout(push_constant) uniform Push {
  uint row_pixel_at;  // word of the step
  uint size;
};
layout(std430, binding = 1) restrict readonly buffer Pixels { uint pixels[]; };
layout(std430, binding = 2) restrict writeonly buffer Out { float y[]; };
layout(std430, binding = 3) restrict readonly buffer Levels { float level[]; };  // [3][256]: what each byte becomes, from the host in double precision

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
  y[t * 3u * area + i] = level[256u * c + ((pixels[at >> 2] >> (8u * (at & 3u))) & 255u)];
}
