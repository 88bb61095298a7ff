// What the linear shaders share: operands, and the order of their sums.
//   y[t][n] = sum over blocks of 32 of (sum within the block) (+ bias[n]) (+ residual[t][n])      x [T K]  w [N K] -> y [T N]
//   with a second matrix: y = act(x w') * (x up')
// Order: inside a block weights 0 to 31 by fma, or (DOT) exactly, as integers; blocks by addition in ascending order. It is a function of K alone, so that
// the kernels of few and of many rows agree to the bit, whatever rows share the step.
// With DOT the inputs are rounded to 8 bits in groups of 32 (formats_dot.glsl); else they are float32.
#include "common.glsl"

layout(push_constant) uniform Push {
  uint high_at, scale_at;  // formats.glsl
  uint rows_of, pool;      // live_rows
  uint x_vectors;          // vectors of 16 bytes of a row of x: K / 4 floats, or what round.comp made of them
  uint blocks;             // K / 32, rounded up
  uint row_vectors;        // uvec4s of a packed row
  uint n_first, n_count;   // outputs of this launch: a part of a matrix that is larger than one binding
  uint n;                  // outputs of all parts: the stride of y
  uint group_outputs;      // row kernel: outputs of a workgroup, a multiple of 4 up to 64
  uint flags;              // HAS_*
  uint activation;
};
#define HAS_BIAS 1u
#define HAS_RESIDUAL 2u

layout(constant_id = 1) const bool PAIR = false;  // a second matrix, up

#ifdef DOT
layout(std430, binding = 1) restrict readonly buffer X { uvec4 x4[]; };
#else
layout(std430, binding = 1) restrict readonly buffer X { vec4 x4[]; };
#endif
layout(std430, binding = 2) restrict readonly buffer W { uvec4 w4[]; };
layout(std430, binding = 3) restrict writeonly buffer Y { float y[]; };
layout(std430, binding = 4) restrict readonly buffer Bias { float bias[]; };
layout(std430, binding = 5) restrict readonly buffer Residual { float residual[]; };
layout(std430, binding = 6) restrict readonly buffer Up { uvec4 up4[]; };

#include "activate.glsl"
#ifdef DOT
#include "formats_dot.glsl"
DEFINE_READ_CODES(read_w, w4)
DEFINE_READ_CODES(read_up, up4)

Block matrix_codes(uint matrix, uint row, uint block) {
  if (PAIR && matrix == 1u) return read_up_codes(row, block);
  return read_w_codes(row, block);
}
Scale matrix_scale(uint matrix, uint row, uint block) {
  if (PAIR && matrix == 1u) return read_up_scale(row, block);
  return read_w_scale(row, block);
}
// Scale and sums of a block of row t of x.
uvec2 input_scale(uint t, uint block) {
  uvec4 two = x4[t * x_vectors + 2u * blocks + (block >> 1)];
  return (block & 1u) == 0u ? two.xy : two.zw;
}
#else
#include "formats.glsl"
DEFINE_READ8(read_w, w4)
DEFINE_READ8(read_up, up4)

void read_matrix(uint matrix, uint row, uint block, uint part, out vec4 a, out vec4 b) {
  if (PAIR && matrix == 1u) {
    read_up(row, block, part, a, b);
  } else {
    read_w(row, block, part, a, b);
  }
}
#endif

// Output `at` of this part, row t, once its sums are complete.
void finish(uint t, uint at, float sum, float up) {
  uint place = t * n + n_first + at;
  if ((flags & HAS_BIAS) != 0u) sum += bias[n_first + at];
  if (PAIR) sum = activate(activation, sum) * up;
  if ((flags & HAS_RESIDUAL) != 0u) sum = residual[place] + sum;
  y[place] = sum;
}
