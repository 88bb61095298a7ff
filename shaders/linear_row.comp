#version 450
#extension GL_GOOGLE_include_directive : require
// linear for few rows: decode. A workgroup computes group_outputs outputs of one row; its threads take (4 outputs, block) pairs, so that neighbours read
// neighbouring 16 bytes of weights and each block of x is used four times. Block sums meet in shared memory, where one thread per output adds them.
// Bytes: the weights once per row of the step, x from cache. Bound: memory bandwidth.
#include "include/linear.glsl"

layout(local_size_x = 64) in;

const uint kPartials = 2048u;
shared float partial[kPartials];  // [blocks of a pass][group_outputs]

#ifdef DOT
struct Input {
  uvec4 code[2];
  float scale;
  ivec2 sums;
};
Input load_input(uint t, uint block) {
  Input x;
  x.code[0] = x4[t * x_vectors + 2u * block];
  x.code[1] = x4[t * x_vectors + 2u * block + 1u];
  uvec2 s = input_scale(t, block);
  x.scale = uintBitsToFloat(s.x);
  x.sums = code_sums(s.y);
  return x;
}
float block_sum(uint matrix, uint row, uint block, Input x) {
  Block w = matrix_codes(matrix, row, block);
  ivec2 sums = ivec2(0);
  [[unroll]] for (uint i = 0u; i < 4u; ++i) {
    sums.x = DOT4(w.code[i], x.code[0][i], sums.x);
    sums.y = DOT4(w.code[4u + i], x.code[1][i], sums.y);
  }
  return block_value(sums, matrix_scale(matrix, row, block), x.scale, x.sums);
}
#else
struct Input {
  vec4 x[8];
};
Input load_input(uint t, uint block) {
  Input r;
  [[unroll]] for (uint i = 0u; i < 8u; ++i) {
    uint at = 8u * block + i;
    r.x[i] = at < x_vectors ? x4[t * x_vectors + at] : vec4(0);
  }
  return r;
}
float block_sum(uint matrix, uint row, uint block, Input x) {
  float s = 0.0;
  [[unroll]] for (uint part = 0u; part < 4u; ++part) {
    vec4 a, b;
    read_matrix(matrix, row, block, part, a, b);
    [[unroll]] for (uint i = 0u; i < 4u; ++i) s = fma(a[i], x.x[2u * part][i], s);
    [[unroll]] for (uint i = 0u; i < 4u; ++i) s = fma(b[i], x.x[2u * part + 1u][i], s);
  }
  return s;
}
#endif

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
        Input x = load_input(t, block);
        [[unroll]] for (uint r = 0u; r < 4u; ++r) {
          uint out_index = first + 4u * quad + r;
          float s = 0.0;
          if (out_index < n_count) s = block_sum(matrix, out_index * row_vectors, block, x);
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
