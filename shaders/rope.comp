#version 450
#extension GL_GOOGLE_include_directive : require
// rope: pairs of a head turned by position * frequency.                                                        x [T heads*D] -> out [T heads*D]
// Angles are not computed here (a driver's sin may be off by 2^-11, and float32 loses the phase of large positions): cos and sin of the three base-256 digits of a
// position come from a table the host made in double precision, and the addition theorem joins them. Error some 3e-7.
#include "include/common.glsl"

layout(push_constant) uniform Push {
  uint positions_at;  // word of the step
  uint heads, head_size, pairs;
  uint neighbours;  // pairs (2i, 2i+1), else (i, i + pairs)
};
layout(std430, binding = 1) restrict readonly buffer X { float x[]; };
layout(std430, binding = 2) restrict writeonly buffer Out { float y[]; };
layout(std430, binding = 3) restrict readonly buffer Table { vec2 turn[]; };        // [3][256][pairs] cos, sin
layout(std430, binding = 4) restrict readonly buffer Components { uint component[]; };  // [pairs] which of a row's positions turns the pair

layout(local_size_x = 64) in;

vec2 both(vec2 a, vec2 b) { return vec2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x); }

void main() {
  uint t = gl_WorkGroupID.y, at = gl_GlobalInvocationID.x, half_head = head_size / 2u;
  if (t >= step_word[STEP_ROWS] || at >= heads * half_head) return;
  uint pair = at % half_head, row = t * heads * head_size + (at / half_head) * head_size;
  if (pair >= pairs) {  // dimensions that are not turned
    uint i = row + 2u * pair;
    y[i] = x[i];
    y[i + 1u] = x[i + 1u];
    return;
  }
  int position = int(step_word[positions_at + 3u * t + component[pair]]);
  uint p = uint(abs(position));
  vec2 angle = turn[(p & 255u) * pairs + pair];
  if (p > 255u) angle = both(angle, turn[(256u + ((p >> 8) & 255u)) * pairs + pair]);
  if (p > 65535u) angle = both(angle, turn[(512u + ((p >> 16) & 255u)) * pairs + pair]);
  if (position < 0) angle.y = -angle.y;
  uint i = row + (neighbours != 0u ? 2u * pair : pair), j = row + (neighbours != 0u ? 2u * pair + 1u : pair + pairs);
  float a = x[i], b = x[j];
  y[i] = a * angle.x - b * angle.y;
  y[j] = a * angle.y + b * angle.x;
}
