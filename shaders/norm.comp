#version 450
#extension GL_GOOGLE_include_directive : require
// norm: out = norm(x) * gain (+ bias) over each of `parts` equal parts of a row, RMS or layer norm; with a residual, out = residual + that.
// With select, row o of the output is row output_rows[o] of x.                                        x [R P*W]  gain, bias [W] -> out [R P*W]
// Order: thread i sums elements i, i + 128, ... by fma, then a binary tree: a function of W alone.
#include "include/common.glsl"
#include "include/math.glsl"

layout(push_constant) uniform Push {
  uint rows_of, pool;
  uint width, parts;  // of a part; of a row
  uint flags;
  float eps;
  uint output_rows_at;  // word of the step
};
#define IS_LAYER 1u
#define HAS_GAIN 2u
#define HAS_BIAS 4u
#define HAS_RESIDUAL 8u
#define SELECTS 16u

layout(std430, binding = 1) restrict readonly buffer X { float x[]; };
layout(std430, binding = 2) restrict writeonly buffer Out { float y[]; };
layout(std430, binding = 3) restrict readonly buffer Gain { float gain[]; };
layout(std430, binding = 4) restrict readonly buffer Bias { float bias[]; };
layout(std430, binding = 5) restrict readonly buffer Residual { float residual[]; };

const uint kThreads = 128u;
layout(local_size_x = 128) in;
#include "include/reduce.glsl"
DEFINE_REDUCTION(total, join_sum)

void main() {
  uint row = gl_WorkGroupID.y, part = gl_WorkGroupID.x, thread = THREAD;
  if (row >= live_rows(rows_of, pool)) return;
  uint from_row = (flags & SELECTS) != 0u ? step_word[output_rows_at + row] : row;
  uint from = (from_row * parts + part) * width, to = (row * parts + part) * width;
  float mean = 0.0;
  if ((flags & IS_LAYER) != 0u) {
    float sum = 0.0;
    for (uint i = thread; i < width; i += kThreads) sum = sum + x[from + i];
    mean = divide(total(sum), float(width));
  }
  float squares = 0.0;
  for (uint i = thread; i < width; i += kThreads) {
    float d = x[from + i] - mean;
    squares = fma(d, d, squares);
  }
  float r = inverse_root(divide(total(squares), float(width)) + eps);
  for (uint i = thread; i < width; i += kThreads) {
    float v = (x[from + i] - mean) * r;
    if ((flags & HAS_GAIN) != 0u) v = v * gain[i];
    if ((flags & HAS_BIAS) != 0u) v = v + bias[i];
    if ((flags & HAS_RESIDUAL) != 0u) v = residual[to + i] + v;
    y[to + i] = v;
  }
}
