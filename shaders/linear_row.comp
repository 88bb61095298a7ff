#version 450
#extension GL_GOOGLE_include_directive : require
// linear for few rows: decode. A workgroup computes group_outputs outputs of one row; its threads take (4 outputs, block) pairs, so that neighbours read
// neighbouring 16 bytes of weights and each block of x is used four times. Block sums meet in shared memory, where one thread per output adds them.
// Bytes: the weights once per row of the step, x from cache. Bound: memory bandwidth.
#include "include/linear.glsl"

layout(local_size_x = 64) in;

const uint kPartials = 2048u;
shared float partial[kPartials];  // [blocks of a pass][group_outputs]

void main() {
  uint t = gl_WorkGroupID.y, thread = gl_LocalInvocationIndex;
  if (t >= live_rows(rows_of, pool)) return;
  uint first = gl_WorkGroupID.x * group_outputs, quads = group_outputs / 4u, pass = kPartials / group_outputs;
  float sums[2];
  for (uint matrix = 0u; matrix < (PAIR ? 2u : 1u); ++matrix) {
    float sum = 0.0;
    for (uint base = 0u; base < blocks; base += pass) {
      uint count = min(pass, blocks - base);
      for (uint item = thread; item < quads * count; item += 64u) {
        uint quad = item / count, in_pass = item % count, block = base + in_pass;
        vec4 x[8];
        [[unroll]] for (uint i = 0u; i < 8u; ++i) {
          uint at = 8u * block + i;
          x[i] = at < k4 ? x4[t * k4 + at] : vec4(0);
        }
        [[unroll]] for (uint r = 0u; r < 4u; ++r) {
          uint out_index = first + 4u * quad + r;
          float s = 0.0;
          if (out_index < n_count) {
            uint row = out_index * row_vectors;
            [[unroll]] for (uint part = 0u; part < 4u; ++part) {
              vec4 a, b;
              read_matrix(matrix, row, block, part, a, b);
              [[unroll]] for (uint i = 0u; i < 4u; ++i) s = fma(a[i], x[2u * part][i], s);
              [[unroll]] for (uint i = 0u; i < 4u; ++i) s = fma(b[i], x[2u * part + 1u][i], s);
            }
          }
          partial[in_pass * group_outputs + 4u * quad + r] = s;
        }
      }
      barrier();
      if (thread < group_outputs) {
        for (uint b = 0u; b < count; ++b) sum = sum + partial[b * group_outputs + thread];
      }
      barrier();
    }
    sums[matrix] = sum;
  }
  if (thread < group_outputs && first + thread < n_count) finish(t, first + thread, sums[0], PAIR ? sums[1] : 0.0);
}
