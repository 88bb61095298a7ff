#version 450
#extension GL_GOOGLE_include_directive : require
// linear for many rows: prefill. A workgroup computes 32 rows x 32 outputs, a thread 4 x 4 of them; blocks of 32 of x and of the unpacked weights pass through
// shared memory. Bound: float32 arithmetic.
#include "include/linear.glsl"

layout(local_size_x = 64) in;

const uint kTile = 32u, kStride = 36u;  // the stride spreads the writers of a column over banks
shared float x_tile[kTile * kStride];   // [32 of K][32 rows]
shared float w_tile[kTile * kStride];   // [32 of K][32 outputs]

void put(uint column, uint row, vec4 v, bool is_x) {
  [[unroll]] for (uint i = 0u; i < 4u; ++i) {
    if (is_x) {
      x_tile[(column + i) * kStride + row] = v[i];
    } else {
      w_tile[(column + i) * kStride + row] = v[i];
    }
  }
}

void main() {
  uint thread = gl_LocalInvocationIndex, rows = live_rows(rows_of, pool);
  uint t0 = gl_WorkGroupID.y * kTile, n0 = gl_WorkGroupID.x * kTile;
  if (t0 >= rows) return;
  uint loaded = thread / 2u, half_block = thread % 2u;  // what this thread brings: half a block of one row of x and of w
  uint tx = 4u * (thread % 8u), ty = 4u * (thread / 8u);
  float first[16];
  float sum[16];
  for (uint matrix = 0u; matrix < (PAIR ? 2u : 1u); ++matrix) {
    [[unroll]] for (uint i = 0u; i < 16u; ++i) sum[i] = 0.0;
    for (uint block = 0u; block < blocks; ++block) {
      [[unroll]] for (uint i = 0u; i < 4u; ++i) {
        uint at = 8u * block + 4u * half_block + i;
        vec4 v = vec4(0);
        if (t0 + loaded < rows && at < x_vectors) v = x4[(t0 + loaded) * x_vectors + at];
        put(16u * half_block + 4u * i, loaded, v, true);
      }
      [[unroll]] for (uint i = 0u; i < 2u; ++i) {
        vec4 a = vec4(0), b = vec4(0);
        if (n0 + loaded < n_count) read_matrix(matrix, (n0 + loaded) * row_vectors, block, 2u * half_block + i, a, b);
        put(16u * half_block + 8u * i, loaded, a, false);
        put(16u * half_block + 8u * i + 4u, loaded, b, false);
      }
      barrier();
      float s[16];
      [[unroll]] for (uint i = 0u; i < 16u; ++i) s[i] = 0.0;
      for (uint k = 0u; k < kTile; ++k) {
        uint x_at = k * kStride + ty, w_at = k * kStride + tx;
        vec4 xv = vec4(x_tile[x_at], x_tile[x_at + 1u], x_tile[x_at + 2u], x_tile[x_at + 3u]);
        vec4 wv = vec4(w_tile[w_at], w_tile[w_at + 1u], w_tile[w_at + 2u], w_tile[w_at + 3u]);
        [[unroll]] for (uint j = 0u; j < 4u; ++j) {
          [[unroll]] for (uint i = 0u; i < 4u; ++i) s[4u * j + i] = fma(wv[i], xv[j], s[4u * j + i]);
        }
      }
      [[unroll]] for (uint i = 0u; i < 16u; ++i) sum[i] = sum[i] + s[i];
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
