#version 450
#extension GL_GOOGLE_include_directive : require
// dense_attention: out = softmax(scale q k') v over the rows of the row's own range.                            q, k, v [T H*D] -> out [T H*D]
// A workgroup takes one head of one row; spans count from the range's first row, so a result does not depend on where in the step the range lies.
#include "include/common.glsl"
#include "include/softmax_spans.glsl"

layout(push_constant) uniform Push {
  uint range_at;  // word of the step: the segmentation's ranges
  uint heads, head_size;
  float scale;
};
layout(std430, binding = 1) restrict readonly buffer Q { float q_row[]; };
layout(std430, binding = 2) restrict readonly buffer K { float k_row[]; };
layout(std430, binding = 3) restrict readonly buffer V { float v_row[]; };
layout(std430, binding = 4) restrict writeonly buffer Out { float y[]; };

layout(local_size_x = 64) in;
shared float query[1024];
shared float sum_v[1024];
shared float weight[kSpan];
shared float tree[64];

void main() {
  uint h = gl_WorkGroupID.x, t = gl_WorkGroupID.y, thread = gl_LocalInvocationIndex, width = heads * head_size, column = h * head_size;
  if (t >= step_word[STEP_ROWS]) return;
  uint begin = step_word[range_at + 2u * t], end = step_word[range_at + 2u * t + 1u];
  for (uint d = thread; d < head_size; d += 64u) {
    query[d] = q_row[t * width + column + d];
    sum_v[d] = 0.0;
  }
  barrier();
  float most = kNothing, sum = 0.0;
  for (uint from = begin; from < end; from += kSpan) {
    uint count = min(kSpan, end - from);
    float mine = kNothing;
    for (uint key = thread; key < count; key += 64u) {
      float s = 0.0;
      for (uint d = 0u; d < head_size; ++d) s = fma(query[d], k_row[(from + key) * width + column + d], s);
      s = s * scale;
      weight[key] = s;
      mine = max(mine, s);
    }
    tree[thread] = mine;
    barrier();
    for (uint n = 32u; n > 0u; n /= 2u) {
      if (thread < n) tree[thread] = max(tree[thread], tree[thread + n]);
      barrier();
    }
    float m = tree[0];
    barrier();
    float part = 0.0;
    for (uint key = thread; key < count; key += 64u) {
      float p = exp_of(weight[key] - m);
      weight[key] = p;
      part = part + p;
    }
    tree[thread] = part;
    barrier();
    for (uint n = 32u; n > 0u; n /= 2u) {
      if (thread < n) tree[thread] += tree[thread + n];
      barrier();
    }
    Merged merged = merge_span(most, sum, m, tree[0]);
    for (uint d = thread; d < head_size; d += 64u) {
      float v = 0.0;
      for (uint key = 0u; key < count; ++key) v = fma(weight[key], v_row[(from + key) * width + column + d], v);
      sum_v[d] = fma(v, merged.take, sum_v[d] * merged.keep);
    }
    most = merged.most;
    sum = merged.sum;
    barrier();
  }
  for (uint d = thread; d < head_size; d += 64u) y[t * width + column + d] = sum > 0.0 ? divide(sum_v[d], sum) : 0.0;
}
