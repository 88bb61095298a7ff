#version 450
#extension GL_GOOGLE_include_directive : require
// add: out = a + b. activate: out = act(a) * b, or act(a).                                                             a, b [R W] -> out [R W]
#include "include/common.glsl"
#include "include/activate.glsl"

layout(push_constant) uniform Push {
  uint rows_of, pool;
  uint width;
  uint kind;  // KIND_*
  uint activation;
};
#define KIND_ADD 0u
#define KIND_ACTIVATE 1u
#define KIND_GATED 2u

layout(std430, binding = 1) restrict readonly buffer A { float a[]; };
layout(std430, binding = 2) restrict readonly buffer B { float b[]; };
layout(std430, binding = 3) restrict writeonly buffer Out { float y[]; };

layout(local_size_x = 64) in;

void main() {
  uint t = gl_WorkGroupID.y, i = gl_GlobalInvocationID.x;
  if (t >= live_rows(rows_of, pool) || i >= width) return;
  uint at = t * width + i;
  if (kind == KIND_ADD) {
    y[at] = a[at] + b[at];
  } else {
    float v = activate(activation, a[at]);
    y[at] = kind == KIND_GATED ? v * b[at] : v;
  }
}
