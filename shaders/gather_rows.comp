#version 450
#extension GL_GOOGLE_include_directive : require
// gather_rows: out[t] = scale * table[i], i an int32 of the step's row; i < 0: zeros, or feature row -1 - i, unscaled.     table [V M] -> out [T M]
// i < FED_END: what output i - FED of the step before drew (step_params.h, kFedToken).
// A table larger than one binding is launched in parts; a row is written by the part that holds it, indices outside the table by the first.
#include "include/common.glsl"

layout(push_constant) uniform Push {
  uint high_at, scale_at;                // formats.glsl
  uint index_at, index_step;             // words of the step: where the rows' indices are, and from one to the next
  uint width, row_vectors;
  uint first, count, table_rows;         // table rows of this part, of the whole table
  uint feature_rows;                     // 0: the op takes none
  float scale;
};
layout(std430, binding = 1) restrict readonly buffer Table { uvec4 w4[]; };
layout(std430, binding = 2) restrict writeonly buffer Out { float y[]; };
layout(std430, binding = 3) restrict readonly buffer Features { float features[]; };
layout(std430, binding = 4) restrict readonly buffer Fed { int fed[]; };

#define FED 0x80000000u
#define FED_END -1073741824

#include "include/formats.glsl"
DEFINE_READ8(read_w, w4)

layout(local_size_x = 64) in;

void main() {
  uint t = gl_WorkGroupID.y, k = 8u * gl_GlobalInvocationID.x;
  if (t >= step_word[STEP_ROWS] || k >= width) return;
  int index = int(step_word[index_at + t * index_step]);
  if (index < FED_END) index = max(fed[uint(index) - FED], 0);  // not drawn: any token, for nobody asks what comes of it
  uint id = uint(index), end = min(k + 8u, width);
  bool feature = index < 0 && uint(-1 - index) < feature_rows;
  if (feature || id >= table_rows) {
    if (first != 0u) return;
    for (uint i = k; i < end; ++i) y[t * width + i] = feature ? features[uint(-1 - index) * width + i] : 0.0;
    return;
  }
  if (id < first || id - first >= count) return;
  vec4 a, b;
  read_w((id - first) * row_vectors, k / 32u, (k / 8u) % 4u, a, b);
  for (uint i = 0u; i < 4u; ++i) {
    if (k + i < end) y[t * width + k + i] = a[i] * scale;
    if (k + 4u + i < end) y[t * width + k + 4u + i] = b[i] * scale;
  }
}
