#version 450
#extension GL_GOOGLE_include_directive : require
// attention over the paged cache: out = softmax(scale q K' + mask) V, cap c: c tanh(x / c), optional sinks.              q [T H*D] -> out [T H*D]
// A workgroup takes one head of one row: over all spans (prefill), or, with SPLIT, over span z, leaving (m, l, sum [D]) for attention_merge (decode).
// Bytes: a row's K and V once per query head. Bound: memory bandwidth of the cache.
#include "include/common.glsl"
#include "include/kv_page.glsl"
#include "include/rotate.glsl"
#include "include/activate.glsl"
#include "include/softmax_spans.glsl"

layout(constant_id = 1) const bool SPLIT = false;

layout(push_constant) uniform Push {
  KvLayout kv;
  uint heads, kv_heads, head_size;
  uint window;       // 0: all earlier tokens
  uint row_span_at;  // word of the step
  uint has_sinks;
  uint partials;     // SPLIT: spans of a row that scratch has room for
  float scale, cap;  // cap 0: none
};
layout(std430, binding = 1) restrict readonly buffer Q { float q_row[]; };
layout(std430, binding = 2) readonly buffer Cache { uint cache[]; };
#ifdef NARROW
layout(std430, binding = 2) readonly buffer CacheHalves { uint16_t cache_half[]; };
layout(std430, binding = 2) readonly buffer CacheBytes { int8_t cache_byte[]; };
#endif
layout(std430, binding = 3) restrict writeonly buffer Out { float y[]; };  // SPLIT: partial results [T][H][partials][2 + D]
layout(std430, binding = 4) restrict readonly buffer Sinks { float sinks[]; };

layout(local_size_x = 64) in;
shared float query[1024];
shared float sum_v[1024];  // of the row so far
shared float weight[kSpan];
shared float query_sum[16];  // q4: sum of each K group of the query

const uint kThreads = 64u;
#include "include/reduce.glsl"
DEFINE_REDUCTION(most_of, join_most)
DEFINE_REDUCTION(total_of, join_sum)

// query . K of one token; dimensions ascend.
float key_product(uint base, uint token) {
  float s = 0.0;
  if (KV == KV_F32) {
    for (uint d = 0u; d < head_size; ++d) s = fma(query[d], uintBitsToFloat(cache[base + kv.k + d * 32u + token]), s);
  } else if (KV == KV_F16) {
    for (uint d = 0u; d < head_size; ++d) s = fma(query[d], KV_HALF(base + kv.k, d * 32u + token), s);
  } else if (KV == KV_Q8) {
    for (uint d = 0u; d < head_size; d += 32u) {
      float group = 0.0;
      for (uint i = d / 4u; i < min(head_size, d + 32u) / 4u; ++i) {
        int w = int(cache[base + kv.k + i * 32u + token]);
        for (int b = 0; b < 4; ++b) group = fma(query[4u * i + uint(b)], float(bitfieldExtract(w, 8 * b, 8)), group);
      }
      s = fma(KV_HALF(base, d + token), group, s);
    }
  } else {
    uint groups = (head_size + 63u) / 64u;
    for (uint g = 0u; g < groups; ++g) {
      float group = 0.0;
      for (uint i = 8u * g; i < min(head_size, 64u * g + 64u) / 8u; ++i) {
        uint w = cache[base + kv.k + i * 32u + token], high = cache[base + kv.k_bits + (i / 4u) * 32u + token] >> (8u * (i & 3u));
        for (uint b = 0u; b < 8u; ++b) {
          uint nibble = (w >> (8u * (b & 3u) + (b < 4u ? 0u : 4u))) & 15u;
          group = fma(query[8u * i + b], float(nibble | ((high >> b) & 1u) << 4), group);
        }
      }
      s = fma(KV_HALF(base, g * 32u + token), group, s);
      s = fma(KV_HALF(base, (groups + g) * 32u + token), query_sum[g], s);
    }
  }
  return s;
}

float value_of(uint base, uint token, uint d) {
  if (KV == KV_F32) return uintBitsToFloat(cache[base + kv.v + token * head_size + d]);
  if (KV == KV_F16) return KV_HALF(base + kv.v, token * head_size + d);
  uint scales = base + kv.v_scales, g = d / kVGroup;
  if (KV == KV_Q8) {
    return KV_HALF(scales, g * 32u + token) * float(KV_BYTE(base + kv.v + (token / 4u) * head_size + d, token & 3u));
  }
  uint columns = head_size / 2u, groups = (head_size + kVGroup - 1u) / kVGroup, c = d < columns ? d : d - columns;
  uint w = cache[base + kv.v + (token / 4u) * columns + c] >> (8u * (token & 3u));
  float q = float((d < columns ? w : w >> 4) & 15u);
  return KV_HALF(scales, (groups + g) * 32u + token) + KV_HALF(scales, g * 32u + token) * q;
}

void main() {
  uint h = gl_WorkGroupID.x, t = gl_WorkGroupID.y, thread = THREAD;
  if (t >= step_word[STEP_ROWS]) return;
  uint slot = step_word[kv.row_slot_at + t], sequence = step_word[kv.row_sequence_at + t], kv_head = h / (heads / kv_heads);
  uint begin = window == 0u || slot + 1u < window ? 0u : slot + 1u - window;
  uint end = max(step_word[row_span_at + 2u * t + 1u], slot + 1u);
  uint first_span = begin / kSpan, last_span = (end - 1u) / kSpan;
  if (SPLIT) {
    first_span += gl_WorkGroupID.z;
    if (first_span > last_span) return;
    last_span = first_span;
  }
  for (uint d = thread; d < head_size; d += 64u) {
    query[d] = q_row[(t * heads + h) * head_size + d];
    sum_v[d] = 0.0;
  }
  if (KV == KV_Q4) {
    ROTATE(query, head_size)
    if (thread < (head_size + 63u) / 64u) {
      float s = 0.0;
      for (uint d = 64u * thread; d < min(head_size, 64u * thread + 64u); ++d) s = s + query[d];
      query_sum[thread] = s;
    }
  }
  barrier();
  float most = kNothing, sum = 0.0;
  if (!SPLIT && has_sinks != 0u) {
    most = sinks[h];
    sum = 1.0;
  }
  for (uint span = first_span; span <= last_span; ++span) {
    uint from = max(begin, span * kSpan), to = min(end, span * kSpan + kSpan);
    float mine = kNothing;
    for (uint key = thread; key < kSpan; key += 64u) {
      uint position = span * kSpan + key;
      if (position < from || position >= to) continue;
      float s = key_product(KV_HEAD(position, sequence, kv_head), position % 32u) * scale;
      if (cap != 0.0) s = cap * tanh_of(divide(s, cap));
      weight[key] = s;
      mine = max(mine, s);
    }
    float m = most_of(mine);
    float part = 0.0;
    for (uint key = thread; key < kSpan; key += 64u) {
      uint position = span * kSpan + key;
      if (position < from || position >= to) continue;
      float p = exp_of(weight[key] - m);
      weight[key] = p;
      part = part + p;
    }
    float l = total_of(part);
    Merged merged = merge_span(most, sum, m, l);
    for (uint d = thread; d < head_size; d += 64u) {
      float v = 0.0;
      for (uint position = from; position < to; ++position)
        v = fma(weight[position - span * kSpan], value_of(KV_HEAD(position, sequence, kv_head), position % 32u, d), v);
      if (SPLIT) {
        y[((t * heads + h) * partials + gl_WorkGroupID.z) * (head_size + 2u) + 2u + d] = v;
      } else {
        sum_v[d] = fma(v, merged.take, sum_v[d] * merged.keep);
      }
    }
    if (SPLIT && thread == 0u) {
      uint at = ((t * heads + h) * partials + gl_WorkGroupID.z) * (head_size + 2u);
      y[at] = m;
      y[at + 1u] = l;
    }
    most = merged.most;
    sum = merged.sum;
    barrier();
  }
  if (SPLIT) return;
  for (uint d = thread; d < head_size; d += 64u) sum_v[d] = divide(sum_v[d], sum);
  if (KV == KV_Q4) ROTATE(sum_v, head_size)
  for (uint d = thread; d < head_size; d += 64u) y[(t * heads + h) * head_size + d] = sum_v[d];
}
