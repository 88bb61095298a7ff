#version 450
#extension GL_GOOGLE_include_directive : require
// sample: the highest logit of each row, ties to the lowest id, what is not a number passed over (-1: nothing else there).   logits [O V] -> out [O 1]
#include "include/common.glsl"

layout(push_constant) uniform Push {
  uint rows_of, pool;
  uint width;
};
layout(std430, binding = 1) restrict readonly buffer X { float x[]; };
layout(std430, binding = 2) restrict writeonly buffer Out { int y[]; };

const uint kThreads = 128u;
layout(local_size_x = 128) in;
shared uint keys[kThreads];
shared int ids[kThreads];

// Numbers in order as unsigned integers, above 0; both zeros are one number.
uint order_of(float v) {
  uint bits = floatBitsToUint(v);
  if (bits == 0x80000000u) bits = 0u;
  return (bits & 0x80000000u) != 0u ? ~bits : bits | 0x80000000u;
}

void main() {
  uint o = gl_WorkGroupID.x, thread = gl_LocalInvocationIndex;
  if (o >= live_rows(rows_of, pool)) return;
  uint best = 0u;
  int id = -1;
  for (uint i = thread; i < width; i += kThreads) {
    float v = x[o * width + i];
    if (!is_nan(v) && order_of(v) > best) {
      best = order_of(v);
      id = int(i);
    }
  }
  keys[thread] = best;
  ids[thread] = id;
  barrier();
  for (uint half_size = kThreads / 2u; half_size > 0u; half_size /= 2u) {
    if (thread < half_size) {
      uint other = keys[thread + half_size];
      int other_id = ids[thread + half_size];
      if (other > keys[thread] || (other == keys[thread] && uint(other_id) < uint(ids[thread]))) {
        keys[thread] = other;
        ids[thread] = other_id;
      }
    }
    barrier();
  }
  if (thread == 0u) y[o] = ids[0];
}
