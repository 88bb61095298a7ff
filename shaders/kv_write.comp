#version 450
#extension GL_GOOGLE_include_directive : require
// kv_write: each row's k and v into its page, in the cache's format.                                                                  k, v [T G*D]
// A workgroup writes one head of one row, K (z = 0) or V. Numbers narrower than a word that share one with another token are stores of their own width
// (NARROW), else put in by atomic and/or: rows write different bits, so the result does not depend on who comes first.
#include "include/common.glsl"
#include "include/kv_page.glsl"
#include "include/math.glsl"
#include "include/rotate.glsl"

layout(push_constant) uniform Push {
  KvLayout kv;
  uint heads, head_size;
};
layout(std430, binding = 1) restrict readonly buffer K { float k_row[]; };
layout(std430, binding = 2) restrict readonly buffer V { float v_row[]; };
layout(std430, binding = 3) buffer Cache { uint cache[]; };
#ifdef NARROW
layout(std430, binding = 3) writeonly buffer CacheHalves { uint16_t cache_half[]; };
layout(std430, binding = 3) writeonly buffer CacheBytes { uint8_t cache_byte[]; };
#endif

layout(local_size_x = 64) in;
shared float head[1024];

// f16 number `index` of the words from `at` on; byte `index` of word `at`.
#ifdef NARROW
void put_half(uint at, uint index, uint bits) { cache_half[2u * at + index] = uint16_t(bits); }
void put_byte(uint at, uint index, uint bits) { cache_byte[4u * at + index] = uint8_t(bits); }
#else
void put_bits(uint at, uint shift, uint mask, uint bits) {
  atomicAnd(cache[at], ~(mask << shift));
  atomicOr(cache[at], bits << shift);
}
void put_half(uint at, uint index, uint bits) { put_bits(at + (index >> 1), 16u * (index & 1u), 0xffffu, bits); }
void put_byte(uint at, uint index, uint bits) { put_bits(at, 8u * index, 255u, bits); }
#endif

// round_half_even(v / step) within [low, high]; v counts as 0 where the step is 0; low for what is not a number.
int code(float v, float inverse, int low, int high) {
  float scaled = v * inverse;
  if (!(scaled > float(low))) return low;
  return scaled >= float(high) ? high : int(roundEven(scaled));
}

shared float inverse_step[32];  // of each group
shared float least[32];

void write_f32(uint base, uint token, bool is_k) {
  for (uint d = gl_LocalInvocationIndex; d < head_size; d += 64u)
    cache[base + (is_k ? kv.k + d * 32u + token : kv.v + token * head_size + d)] = floatBitsToUint(head[d]);
}

void write_f16(uint base, uint token, bool is_k) {
  if (is_k) {
    for (uint d = gl_LocalInvocationIndex; d < head_size; d += 64u) put_half(base + kv.k, d * 32u + token, float_to_half(head[d]));
  } else {
    for (uint i = gl_LocalInvocationIndex; i < head_size / 2u; i += 64u)
      cache[base + kv.v + token * (head_size / 2u) + i] = float_to_half(head[2u * i]) | float_to_half(head[2u * i + 1u]) << 16;
  }
}

void write_q8(uint base, uint token, bool is_k) {
  uint group = is_k ? k_group() : kVGroup, groups = (head_size + group - 1u) / group;
  for (uint g = gl_LocalInvocationIndex; g < groups; g += 64u) {
    float most = 0.0;
    for (uint d = g * group; d < min(head_size, (g + 1u) * group); ++d) most = max(most, abs(head[d]));
    uint h = float_to_half(divide(most, 127.0));
    float step = half_to_float(h);
    inverse_step[g] = step > 0.0 ? divide(1.0, step) : 0.0;
    put_half(base + (is_k ? 0u : kv.v_scales), g * 32u + token, h);
  }
  barrier();
  if (is_k) {
    for (uint i = gl_LocalInvocationIndex; i < head_size / 4u; i += 64u) {
      uint word = 0u;
      for (uint b = 0u; b < 4u; ++b) word |= (uint(code(head[4u * i + b], inverse_step[4u * i / group], -127, 127)) & 255u) << (8u * b);
      cache[base + kv.k + i * 32u + token] = word;
    }
  } else {
    for (uint d = gl_LocalInvocationIndex; d < head_size; d += 64u)
      put_byte(base + kv.v + (token / 4u) * head_size + d, token & 3u, uint(code(head[d], inverse_step[d / group], -127, 127)) & 255u);
  }
}

uint q4_code(uint d, uint group, int top) { return uint(code(head[d] - least[d / group], inverse_step[d / group], 0, top)); }

void write_q4(uint base, uint token, bool is_k) {
  ROTATE(head, head_size)
  uint group = is_k ? k_group() : kVGroup, groups = (head_size + group - 1u) / group;
  int top = is_k ? 31 : 15;
  for (uint g = gl_LocalInvocationIndex; g < groups; g += 64u) {
    float low = head[g * group], high = low;
    for (uint d = g * group + 1u; d < min(head_size, (g + 1u) * group); ++d) {
      low = min(low, head[d]);
      high = max(high, head[d]);
    }
    uint h = float_to_half(divide(high - low, float(top))), m = float_to_half(low);
    float step = half_to_float(h);
    inverse_step[g] = step > 0.0 ? divide(1.0, step) : 0.0;
    least[g] = half_to_float(m);
    uint scales = base + (is_k ? 0u : kv.v_scales);
    put_half(scales, g * 32u + token, h);
    put_half(scales, (groups + g) * 32u + token, m);
  }
  barrier();
  if (is_k) {
    for (uint i = gl_LocalInvocationIndex; i < head_size / 8u; i += 64u) {
      uint word = 0u;
      for (uint b = 0u; b < 8u; ++b) word |= (q4_code(8u * i + b, group, top) & 15u) << (8u * (b & 3u) + (b < 4u ? 0u : 4u));
      cache[base + kv.k + i * 32u + token] = word;
    }
    for (uint i = gl_LocalInvocationIndex; i < (head_size + 31u) / 32u; i += 64u) {
      uint word = 0u;
      for (uint d = 32u * i; d < min(head_size, 32u * i + 32u); ++d) word |= (q4_code(d, group, top) >> 4) << (d & 31u);
      cache[base + kv.k_bits + i * 32u + token] = word;
    }
  } else {
    uint columns = head_size / 2u;
    for (uint c = gl_LocalInvocationIndex; c < columns; c += 64u)
      put_byte(base + kv.v + (token / 4u) * columns + c, token & 3u, q4_code(c, group, top) | q4_code(c + columns, group, top) << 4);
  }
}

void main() {
  uint t = gl_WorkGroupID.y, h = gl_WorkGroupID.x;
  if (t >= step_word[STEP_ROWS]) return;
  bool is_k = gl_WorkGroupID.z == 0u;
  uint position = step_word[kv.row_slot_at + t], token = position % 32u;
  uint base = KV_HEAD(position, step_word[kv.row_sequence_at + t], h), from = (t * heads + h) * head_size;
  for (uint d = gl_LocalInvocationIndex; d < head_size; d += 64u) head[d] = is_k ? k_row[from + d] : v_row[from + d];
  barrier();
  if (KV == KV_F32) write_f32(base, token, is_k);
  if (KV == KV_F16) write_f16(base, token, is_k);
  if (KV == KV_Q8) write_q8(base, token, is_k);
  if (KV == KV_Q4) write_q4(base, token, is_k);
}
