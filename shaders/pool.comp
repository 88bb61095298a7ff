#version 450
#extension GL_GOOGLE_include_directive : require
// pool: `count` neighbouring rows become one, side by side or their mean; U = T / count.                    x [T M] -> out [U count*M] or [U M]
#include "include/common.glsl"
#include "include/math.glsl"

layout(push_constant) uniform Push {
  uint width, count;
  uint mean;
};
layout(std430, binding = 1) restrict readonly buffer X { float x[]; };
layout(std430, binding = 2) restrict writeonly buffer Out { float y[]; };

layout(local_size_x = 64) in;

void main() {
  uint u = gl_WorkGroupID.y, i = gl_GlobalInvocationID.x, out_width = mean != 0u ? width : width * count;
  if (u >= live_rows(STEP_ROWS, count) || i >= out_width) return;
  if (mean == 0u) {  // rows lie behind one another: side by side is where they are
    y[u * out_width + i] = x[u * out_width + i];
    return;
  }
  float sum = 0.0;
  for (uint r = 0u; r < count; ++r) sum = sum + x[(u * count + r) * width + i];
  y[u * width + i] = divide(sum, float(count));
}
