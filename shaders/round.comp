#version 450
#extension GL_GOOGLE_include_directive : require
// The input of a linear rounded to the plan's activation format: binary16, or int8 in groups of 32 with scale s = max|x| / 127, q = round_to_even(x * (127 /
// max|x|)), value s q. Kept as float32, or, for integer dot products, as rows of codes, scales and sums of codes (include/formats_dot.glsl has the diagram).
//                                                                                              x [R K] -> out [R K], or [R Q] words; K a multiple of 32 for
// int8
#include "include/common.glsl"
#include "include/math.glsl"

layout(push_constant) uniform Push {
  uint rows_of, pool;
  uint k;
  uint to;  // TO_*
  uint packed_words;  // TO_DOT: words of a row
};
#define TO_FLOAT 0u
#define TO_HALF 1u
#define TO_DOT 2u
layout(std430, binding = 1) restrict readonly buffer X { float x[]; };
layout(std430, binding = 2) restrict writeonly buffer Out { uint y[]; };

layout(local_size_x = 64) in;

void main() {
  uint t = gl_WorkGroupID.y, group = gl_GlobalInvocationID.x;
  if (t >= live_rows(rows_of, pool) || 32u * group >= k) return;
  uint first = t * k + 32u * group, count = min(32u, k - 32u * group);
  if (to == TO_HALF) {
    for (uint i = 0u; i < count; ++i) y[first + i] = floatBitsToUint(half_to_float(float_to_half(x[first + i])));
    return;
  }
  uint most_bits = 0u;  // over the bit patterns, where a NaN is above everything: it is not lost
  for (uint i = 0u; i < count; ++i) most_bits = max(most_bits, floatBitsToUint(x[first + i]) & 0x7fffffffu);
  float most = uintBitsToFloat(most_bits);
  bool zero = most_bits <= 0x0d800000u;  // 2^-100
  float scale = zero ? 0.0 : divide(most, 127.0);
  float inverse = zero ? 0.0 : divide(31.75, 0.25 * most);  // a quarter of both: most may be the largest number there is
  if (to == TO_FLOAT) {
    for (uint i = 0u; i < count; ++i) {
      float q = roundEven(x[first + i] * inverse);
      float v = scale * q;
      y[first + i] = floatBitsToUint(v);
    }
    return;
  }
  uint blocks = k / 32u, row = t * packed_words;
  int sums[2];
  for (uint h = 0u; h < 2u; ++h) {
    sums[h] = 0;
    for (uint part = 2u * h; part < 2u * h + 2u; ++part) {
      uint words[2];  // even and odd of eight codes
      words[0] = words[1] = 0u;
      for (uint i = 0u; i < 8u; ++i) {
        int q = int(roundEven(x[first + 8u * part + i] * inverse));
        sums[h] += q;
        words[i & 1u] |= (uint(q) & 255u) << (8u * (i >> 1));
      }
      y[row + 8u * group + 2u * part] = words[0];
      y[row + 8u * group + 2u * part + 1u] = words[1];
    }
  }
  // Not a number: its codes are anything, its scale keeps it.
  y[row + 8u * blocks + 2u * group] = floatBitsToUint(scale);
  y[row + 8u * blocks + 2u * group + 1u] = (uint(sums[0]) & 0xffffu) | uint(sums[1]) << 16;
}
