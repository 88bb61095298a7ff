#version 450
#extension GL_GOOGLE_include_directive : require
// linear for many rows with inputs rounded to 8 bits: prefill by packed dot products. A workgroup computes 32 rows x 32 outputs, a thread 4 x 4 of them;
// codes and scales of a block of 32 pass through shared memory. Bound: integer dot products.
#include "include/linear.glsl"

layout(local_size_x = 64) in;

const uint kTile = 32u, kStride = 36u;  // the stride spreads the writers of a column over banks
shared uint x_code[8u * kStride];       // [8 words of four codes][32 rows]
shared uint w_code[8u * kStride];       // [8 words of four codes][32 outputs]
shared float x_scale[kTile];
shared ivec2 x_sums[kTile];
shared Scale w_scale[kTile];

void main() {
  uint thread = gl_LocalInvocationIndex, rows = live_rows(rows_of, pool);
  uint t0 = gl_WorkGroupID.y * kTile, n0 = gl_WorkGroupID.x * kTile;
  if (t0 >= rows) return;
  // What a thread brings: half a block of one row of x; of a row of w, one of two threads the codes, the other the scales.
  uint loaded = thread / 2u, side = thread % 2u;
  bool live_row = t0 + loaded < rows, live_output = n0 + loaded < n_count;
  uint tx = 4u * (thread % 8u), ty = 4u * (thread / 8u);
  float first[16];
  float sum[16];
  for (uint matrix = 0u; matrix < (PAIR ? 2u : 1u); ++matrix) {
    [[unroll]] for (uint i = 0u; i < 16u; ++i) sum[i] = 0.0;
    for (uint block = 0u; block < blocks; ++block) {
      uvec4 x = uvec4(0);
      if (live_row) x = x4[(t0 + loaded) * x_vectors + 2u * block + side];
      [[unroll]] for (uint i = 0u; i < 4u; ++i) x_code[(4u * side + i) * kStride + loaded] = x[i];
      if (side == 0u) {
        Block w;
        [[unroll]] for (uint i = 0u; i < 8u; ++i) w.code[i] = 0u;
        if (live_output) w = matrix_codes(matrix, (n0 + loaded) * row_vectors, block);
        [[unroll]] for (uint i = 0u; i < 8u; ++i) w_code[i * kStride + loaded] = w.code[i];
      } else {
        Scale w;
        w.d = w.m = 0.0;
        w.halves[0] = w.halves[1] = 0;
        if (live_output) w = matrix_scale(matrix, (n0 + loaded) * row_vectors, block);
        w_scale[loaded] = w;
        uvec2 s = uvec2(0);
        if (live_row) s = input_scale(t0 + loaded, block);
        x_scale[loaded] = uintBitsToFloat(s.x);
        x_sums[loaded] = code_sums(s.y);
      }
      barrier();
      int s[32];  // of both halves of the block
      [[unroll]] for (uint i = 0u; i < 32u; ++i) s[i] = 0;
      [[unroll]] for (uint h = 0u; h < 2u; ++h) {
        for (uint k = 4u * h; k < 4u * h + 4u; ++k) {
          uint x_at = k * kStride + ty, w_at = k * kStride + tx;
          uvec4 xv = uvec4(x_code[x_at], x_code[x_at + 1u], x_code[x_at + 2u], x_code[x_at + 3u]);
          uvec4 wv = uvec4(w_code[w_at], w_code[w_at + 1u], w_code[w_at + 2u], w_code[w_at + 3u]);
          [[unroll]] for (uint j = 0u; j < 4u; ++j) {
            [[unroll]] for (uint i = 0u; i < 4u; ++i) s[16u * h + 4u * j + i] = DOT4(wv[i], xv[j], s[16u * h + 4u * j + i]);
          }
        }
      }
      [[unroll]] for (uint j = 0u; j < 4u; ++j) {
        [[unroll]] for (uint i = 0u; i < 4u; ++i) {
          uint at = 4u * j + i;
          sum[at] = sum[at] + block_value(ivec2(s[at], s[16u + at]), w_scale[tx + i], x_scale[ty + j], x_sums[ty + j]);
        }
      }
      barrier();
    }
    if (PAIR && matrix == 0u) {
      [[unroll]] for (uint i = 0u; i < 16u; ++i) first[i] = sum[i];
    }
  }
  [[unroll]] for (uint j = 0u; j < 4u; ++j) {
    [[unroll]] for (uint i = 0u; i < 4u; ++i) {
      if (t0 + ty + j < rows && n0 + tx + i < n_count)
        finish(t0 + ty + j, n0 + tx + i, PAIR ? first[4u * j + i] : sum[4u * j + i], PAIR ? sum[4u * j + i] : 0.0);
    }
  }
}
