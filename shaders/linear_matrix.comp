#version 450
#extension GL_GOOGLE_include_directive : require
// linear for many rows with inputs rounded to 8 bits: prefill on cooperative matrices, int8 x int8 -> int32. A workgroup of four subgroups computes 32 rows x
// 64 outputs, a subgroup 32 x 16 of them. Integers are exact within a block of 32, and its scales are applied element by element in the order of block_value
// (formats_dot.glsl): the bits are those of the dot product kernels, so a row has one kernel class whether it was prompt or generated. (Matrices of binary16
// would round inside the hardware, each maker's in its own order.)
// Sizes of a matrix come from the device as constants: TM and TN 8 or 16 (TM 32 as well), TK 8, 16 or 32. Not for q6_k, which has a scale for 16 weights.
#include "include/linear.glsl"

layout(constant_id = 3) const uint TM = 16u;
layout(constant_id = 4) const uint TN = 16u;
layout(constant_id = 5) const uint TK = 32u;
layout(constant_id = 2) const uint kThreads = 128u;  // four subgroups
layout(local_size_x_id = 2) in;

const uint kRows = 32u, kOutputs = 64u, kStrip = 16u;  // outputs of a subgroup
const uint kStride = 12u;                              // words from a row of codes to the next: 16-byte aligned, and no two rows of eight in one bank
const uint kParts = (kRows / TM) * (kStrip / TN);      // matrices of a subgroup

shared uint x_code[kRows * kStride];     // [32 rows][8 words of four codes]
shared uint w_code[kOutputs * kStride];  // [64 outputs][8 words]
shared float x_scale[kRows];
shared float x_sum[kRows];
shared float w_scale[kOutputs];
shared float w_least[kOutputs];
shared float result[kRows * kOutputs];
shared float result_first[kRows * kOutputs];

#include "include/matrix.glsl"

// Four codes less the format's zero, as signed bytes.
uint centred(uint codes) { return ((codes | 0x80808080u) - uint(kZero) * 0x01010101u) ^ 0x80808080u; }

void bring_weights(uint matrix, uint output_, uint block, bool live) {
  Block w;
  [[unroll]] for (uint i = 0u; i < 8u; ++i) w.code[i] = 0u;
  Scale s;
  s.d = s.m = 0.0;
  if (live) {
    w = matrix_codes(matrix, (gl_WorkGroupID.x * kOutputs + output_) * row_vectors, block);
    s = matrix_scale(matrix, (gl_WorkGroupID.x * kOutputs + output_) * row_vectors, block);
  }
  [[unroll]] for (uint i = 0u; i < 8u; ++i) w_code[output_ * kStride + i] = kZero == 0 ? w.code[i] : centred(w.code[i]);
  w_scale[output_] = s.d;
  w_least[output_] = s.m;
}

void bring_inputs(uint t, uint row, uint block, bool live) {
  uvec4 a = uvec4(0), b = uvec4(0);
  uvec2 s = uvec2(0);
  if (live) {
    a = x4[t * x_vectors + 2u * block];
    b = x4[t * x_vectors + 2u * block + 1u];
    s = input_scale(t, block);
  }
  [[unroll]] for (uint i = 0u; i < 4u; ++i) {
    x_code[row * kStride + i] = a[i];
    x_code[row * kStride + 4u + i] = b[i];
  }
  ivec2 sums = code_sums(s.y);
  x_scale[row] = uintBitsToFloat(s.x);
  x_sum[row] = float(sums.x + sums.y);
}

void main() {
  uint thread = gl_LocalInvocationIndex, rows = live_rows(rows_of, pool);
  uint t0 = gl_WorkGroupID.y * kRows, n0 = gl_WorkGroupID.x * kOutputs, strip = SUBGROUP_ID * kStrip;
  if (t0 >= rows) return;
  DECLARE_SUMS(first);
  DECLARE_SUMS(sum);
  for (uint matrix = 0u; matrix < (PAIR ? 2u : 1u); ++matrix) {
    CLEAR_SUMS(sum);
    for (uint block = 0u; block < blocks; ++block) {
      for (uint item = thread; item < kOutputs + kRows; item += kThreads) {
        if (item < kOutputs) {
          bring_weights(matrix, item, block, n0 + item < n_count);
        } else {
          bring_inputs(t0 + item - kOutputs, item - kOutputs, block, t0 + item - kOutputs < rows);
        }
      }
      barrier();
      for (uint row = 0u; row < kRows / TM; ++row) {
        for (uint column = 0u; column < kStrip / TN; ++column) {
          uint output_ = strip + column * TN;
          DECLARE_INTEGERS(integers);
          CLEAR_INTEGERS(integers);
          for (uint k = 0u; k < 32u / TK; ++k) {
            DECLARE_INPUTS(x);
            DECLARE_WEIGHTS(w);
            LOAD_INPUTS(x, x_code, row * TM * kStride + k * TK / 4u, kStride);
            LOAD_WEIGHTS(w, w_code, output_ * kStride + k * TK / 4u, kStride);
            MULTIPLY_ADD(integers, x, w);
          }
          // block_value, element by element
          DECLARE_FLOATS(value);
          DECLARE_FLOATS(d);
          DECLARE_FLOATS(s);
          TO_FLOATS(value, integers);
          LOAD_OF_COLUMNS(d, w_scale, output_);
          LOAD_OF_ROWS(s, x_scale, row * TM);
          MULTIPLY(d, d, s);
          MULTIPLY(value, value, d);
          if (kHasMinimum) {
            DECLARE_FLOATS(q);
            LOAD_OF_COLUMNS(d, w_least, output_);
            LOAD_OF_ROWS(q, x_sum, row * TM);
            MULTIPLY(d, d, s);
            MULTIPLY(q, q, d);
            ADD(value, value, q);
          }
          ADD_TO_SUMS(sum, row * (kStrip / TN) + column, value);
        }
      }
      barrier();
    }
    if (PAIR && matrix == 0u) {
      COPY_SUMS(first, sum);
    }
  }
  for (uint row = 0u; row < kRows / TM; ++row) {
    for (uint column = 0u; column < kStrip / TN; ++column) {
      uint at = row * TM * kOutputs + strip + column * TN, part = row * (kStrip / TN) + column;
      STORE_SUMS(sum, part, result, at, kOutputs);
      if (PAIR) {
        STORE_SUMS(first, part, result_first, at, kOutputs);
      }
    }
  }
  barrier();
  for (uint item = thread; item < kRows * kOutputs; item += kThreads) {
    uint t = t0 + item / kOutputs, at = n0 + item % kOutputs;
    if (t < rows && at < n_count) finish(t, at, PAIR ? result_first[item] : result[item], PAIR ? result[item] : 0.0);
  }
}
