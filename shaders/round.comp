#version 450
#extension GL_GOOGLE_include_directive : require
// The input of a linear rounded to the plan's activation format, kept as float32: binary16, or int8 in groups of 32 with scale s = max|x| / 127,
// q = round_to_even(x * (127 / max|x|)), value s q.                                                            x [R K] -> out [R K], K a multiple of 32
#include "include/common.glsl"

layout(push_constant) uniform Push {
  uint rows_of, pool;
  uint k;
  uint to_half;  // else to int8
};
layout(std430, binding = 1) restrict readonly buffer X { float x[]; };
layout(std430, binding = 2) restrict writeonly buffer Out { float y[]; };

layout(local_size_x = 64) in;

void main() {
  uint t = gl_WorkGroupID.y, group = gl_GlobalInvocationID.x;
  if (t >= live_rows(rows_of, pool) || 32u * group >= k) return;
  uint first = t * k + 32u * group, count = min(32u, k - 32u * group);
  if (to_half != 0u) {
    for (uint i = 0u; i < count; ++i) y[first + i] = half_to_float(float_to_half(x[first + i]));
    return;
  }
  uint most_bits = 0u;  // over the bit patterns, where a NaN is above everything: it is not lost
  for (uint i = 0u; i < count; ++i) most_bits = max(most_bits, floatBitsToUint(x[first + i]) & 0x7fffffffu);
  float most = uintBitsToFloat(most_bits);
  bool zero = most_bits <= 0x0d800000u;  // 2^-100
  float scale = zero ? 0.0 : most / 127.0;
  float inverse = zero ? 0.0 : 127.0 / most;
  for (uint i = 0u; i < count; ++i) {
    float q = roundEven(x[first + i] * inverse);
    float v = scale * q;
    y[first + i] = v;
  }
}
