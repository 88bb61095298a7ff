#version 450
#extension GL_GOOGLE_include_directive : require
// Joins the spans of attention.comp in ascending order.                                      partial [T][H][partials][2 + D] -> out [T H*D]
#include "include/common.glsl"
#include "include/kv_page.glsl"
#include "include/rotate.glsl"
#include "include/softmax_spans.glsl"

layout(push_constant) uniform Push {
  KvLayout kv;
  uint heads, kv_heads, head_size;
  uint window;
  uint row_span_at;
  uint has_sinks;
  uint partials;
  float scale, cap;
};
layout(std430, binding = 1) restrict readonly buffer Partial { float partial[]; };
layout(std430, binding = 2) restrict writeonly buffer Out { float y[]; };
layout(std430, binding = 3) restrict readonly buffer Sinks { float sinks[]; };

layout(local_size_x = 64) in;
shared float sum_v[1024];

void main() {
  uint h = gl_WorkGroupID.x, t = gl_WorkGroupID.y, thread = gl_LocalInvocationIndex;
  if (t >= step_word[STEP_ROWS]) return;
  uint slot = step_word[kv.row_slot_at + t];
  uint begin = window == 0u || slot + 1u < window ? 0u : slot + 1u - window;
  uint end = max(step_word[row_span_at + 2u * t + 1u], slot + 1u);
  uint spans = (end - 1u) / kSpan - begin / kSpan + 1u;
  for (uint d = thread; d < head_size; d += 64u) sum_v[d] = 0.0;
  float most = kNothing, sum = 0.0;
  if (has_sinks != 0u) {
    most = sinks[h];
    sum = 1.0;
  }
  for (uint span = 0u; span < spans; ++span) {
    uint at = ((t * heads + h) * partials + span) * (head_size + 2u);
    Merged merged = merge_span(most, sum, partial[at], partial[at + 1u]);
    for (uint d = thread; d < head_size; d += 64u) {
      sum_v[d] = fma(partial[at + 2u + d], merged.take, sum_v[d] * merged.keep);
    }
    most = merged.most;
    sum = merged.sum;
  }
  for (uint d = thread; d < head_size; d += 64u) sum_v[d] = divide(sum_v[d], sum);
  if (KV == KV_Q4) ROTATE(sum_v, head_size)
  for (uint d = thread; d < head_size; d += 64u) y[(t * heads + h) * head_size + d] = sum_v[d];
}
