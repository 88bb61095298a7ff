#version 450
#extension GL_GOOGLE_include_directive : require
// select_rows: out[o] = x[output_rows[o]].                                                                             x [T M] -> out [O M]
#include "include/common.glsl"

layout(push_constant) uniform Push {
  uint width;
  uint output_rows_at;  // word of the step
};
layout(std430, binding = 1) restrict readonly buffer X { float x[]; };
layout(std430, binding = 2) restrict writeonly buffer Out { float y[]; };

layout(local_size_x = 64) in;

void main() {
  uint o = gl_WorkGroupID.y, i = gl_GlobalInvocationID.x;
  if (o >= step_word[STEP_OUTPUTS] || i >= width) return;
  y[o * width + i] = x[step_word[output_rows_at + o] * width + i];
}
