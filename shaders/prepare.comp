#version 450
#extension GL_GOOGLE_include_directive : require
// The first launch of a recording with split attention: for each kind of attention the grid that the step's lengths ask for, as arguments of an indirect
// dispatch.                                                                                      kinds [K][4] -> grids [K][4]
#include "include/common.glsl"
#include "include/softmax_spans.glsl"

layout(push_constant) uniform Push {
  uint kinds;
  uint row_slot_at, row_span_at;  // words of the step
};
layout(std430, binding = 1) restrict readonly buffer Kinds { uint kind_word[]; };  // window, heads
layout(std430, binding = 2) restrict writeonly buffer Grids { uint grid[]; };       // x, y, z

layout(local_size_x = 64) in;

void main() {
  uint kind = gl_GlobalInvocationID.x;
  if (kind >= kinds) return;
  uint window = kind_word[4u * kind], rows = step_word[STEP_ROWS], spans = 0u;
  for (uint t = 0u; t < rows; ++t) {
    uint slot = step_word[row_slot_at + t];
    uint begin = window == 0u || slot + 1u < window ? 0u : slot + 1u - window;
    uint end = max(step_word[row_span_at + 2u * t + 1u], slot + 1u);
    spans = max(spans, (end - 1u) / kSpan - begin / kSpan + 1u);
  }
  grid[4u * kind] = kind_word[4u * kind + 1u];
  grid[4u * kind + 1u] = rows;
  grid[4u * kind + 2u] = spans;
}
