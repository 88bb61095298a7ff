#version 450
#extension GL_GOOGLE_include_directive : require
// sample: the token of each row, drawn as its settings say (core/draw.h): the highest logit, ties to the lowest id; or by chance, of all or of the top_k best.
//   logits [O V] -> out [O 1];  -1: a logit of the row is not finite, or nothing is to be drawn
// One workgroup a row; its threads are the lanes of the draw, so that they read side by side. All arithmetic behind (logit - best) * scale is that of integers: the
// token is the host's.
#include "include/common.glsl"

layout(push_constant) uniform Push {
  uint rows_of, pool;
  uint width;
  uint draws;  // word of StepParams::draws()
};
layout(std430, binding = 1) restrict readonly buffer X { float x[]; };
layout(std430, binding = 2) restrict writeonly buffer Out { int y[]; };

const uint kThreads = 128u;
layout(local_size_x = 128) in;
shared uint keys[kThreads];  // later the low words of the lanes' sums
shared uint ids[kThreads];   // and the high words
shared uint counts[256];
shared uint not_finite;
shared uint chosen_lane;
shared uvec2 chosen_left;

// Numbers in order as unsigned integers; both zeros are one number.
uint order_of(float v) {
  uint bits = floatBitsToUint(v);
  if (bits == 0x80000000u) bits = 0u;
  return (bits & 0x80000000u) != 0u ? ~bits : bits | 0x80000000u;
}

// 64-bit numbers are (low, high).
uvec2 add(uvec2 a, uvec2 b) {
  uint carry;
  uint low = uaddCarry(a.x, b.x, carry);
  return uvec2(low, a.y + b.y + carry);
}
uvec2 subtract(uvec2 a, uvec2 b) { return uvec2(a.x - b.x, a.y - b.y - (a.x < b.x ? 1u : 0u)); }
bool less(uvec2 a, uvec2 b) { return a.y < b.y || (a.y == b.y && a.x < b.x); }
uint high_product(uint a, uint b) {
  uint high, low;
  umulExtended(a, b, high, low);
  return high;
}
uvec2 product(uint a, uint b) {
  uint high, low;
  umulExtended(a, b, high, low);
  return uvec2(low, high);
}
uvec2 multiply_high(uvec2 a, uvec2 b) {
  uvec2 middle = add(product(a.y, b.x), uvec2(high_product(a.x, b.x), 0u));
  uvec2 other = add(product(a.x, b.y), uvec2(middle.x, 0u));
  return add(product(a.y, b.y), add(uvec2(middle.y, 0u), uvec2(other.y, 0u)));
}

uint exp2_fixed(uint fraction) {
  const uint kSeries[8] = uint[8](0x40000000u, 0x2c5c85feu, 0x0f5fdee9u, 0x038d627eu, 0x009d8d19u, 0x0015efc7u, 0x000264c6u, 0x000056f5u);
  uint p = kSeries[7];
  [[unroll]] for (int i = 6; i >= 0; --i) p = kSeries[i] + high_product(p, fraction << 8);
  return p;
}

uvec2 draw_weight(float logit, float best, float scale) {
  float t = (logit - best) * scale;
  if (!(t > -43.0)) return uvec2(0u);
  uint below = uint(t * -16777216.0);
  uint halvings = (below + 0xffffffu) >> 24;
  uint m = exp2_fixed((halvings << 24) - below);
  uint low = m << 12, high = m >> 20;
  if (halvings == 0u) return uvec2(low, high);
  if (halvings < 32u) return uvec2((low >> halvings) | (high << (32u - halvings)), high >> halvings);
  return uvec2(high >> (halvings - 32u), 0u);
}

void main() {
  uint o = gl_WorkGroupID.x, thread = gl_LocalInvocationIndex;
  if (o >= live_rows(rows_of, pool)) return;
  uint row = o * width, setting = draws + 4u * o;
  float scale = uintBitsToFloat(step_word[setting]);
  if (scale < 0.0) {
    if (thread == 0u) y[o] = -1;
    return;
  }

  if (thread == 0u) not_finite = 0u;
  barrier();
  uint best_key = 0u, id = 0u, broken = 0u;
  for (uint i = thread; i < width; i += kThreads) {
    float v = x[row + i];
    uint key = order_of(v);
    if ((floatBitsToUint(v) & 0x7f800000u) == 0x7f800000u) broken = 1u;
    if (key > best_key) {
      best_key = key;
      id = i;
    }
  }
  if (broken != 0u) atomicOr(not_finite, 1u);
  keys[thread] = best_key;
  ids[thread] = id;
  barrier();
  for (uint half_size = kThreads / 2u; half_size > 0u; half_size /= 2u) {
    if (thread < half_size) {
      uint other = keys[thread + half_size];
      uint other_id = ids[thread + half_size];
      if (other > keys[thread] || (other == keys[thread] && other_id < ids[thread])) {
        keys[thread] = other;
        ids[thread] = other_id;
      }
    }
    barrier();
  }
  uint best_id = ids[0];
  if (not_finite != 0u || scale == 0.0) {
    if (thread == 0u) y[o] = not_finite != 0u ? -1 : int(best_id);
    return;
  }
  float best = x[row + best_id];

  // The cut: what is above `order`, and of what equals it the ids up to `last`. Digit by digit, from counts of how often each comes.
  uint order = 0u, last = 0xffffffffu, left = step_word[setting + 1u];
  if (left > 0u && left < width) {
    uint ties = 0u;
    for (uint digits = 0u; digits < 8u; ++digits) {
      bool of_ids = digits >= 4u;  // the first four are of the numbers; the others, where not all that are equal stay, of their ids
      if (digits == 4u) {
        if (ties == left) break;
        last = 0u;
      }
      uint shift = 24u - 8u * (digits & 3u), mask = shift == 24u ? 0u : 0xffffffffu << (shift + 8u);
      barrier();
      counts[thread] = 0u;
      counts[thread + kThreads] = 0u;
      barrier();
      for (uint i = thread; i < width; i += kThreads) {
        uint key = order_of(x[row + i]);
        if (of_ids) {
          if (key == order && (i & mask) == last) atomicAdd(counts[(i >> shift) & 255u], 1u);
        } else if ((key & mask) == order) {
          atomicAdd(counts[(key >> shift) & 255u], 1u);
        }
      }
      barrier();
      uint digit = of_ids ? 0u : 255u;
      while (counts[digit] < left) {
        left -= counts[digit];
        digit = of_ids ? digit + 1u : digit - 1u;
      }
      ties = counts[digit];
      if (of_ids) {
        last |= digit << shift;
      } else {
        order |= digit << shift;
      }
    }
  }

  uvec2 sum = uvec2(0u);
  for (uint i = thread; i < width; i += kThreads) {
    float v = x[row + i];
    uint key = order_of(v);
    if (key > order || (key == order && i <= last)) sum = add(sum, draw_weight(v, best, scale));
  }
  barrier();
  keys[thread] = sum.x;
  ids[thread] = sum.y;
  barrier();
  if (thread == 0u) {
    uvec2 total = uvec2(0u);
    for (uint lane = 0u; lane < kThreads; ++lane) total = add(total, uvec2(keys[lane], ids[lane]));
    uvec2 r = multiply_high(uvec2(step_word[setting + 2u], step_word[setting + 3u]), total);
    uint lane = 0u;
    while (!less(r, uvec2(keys[lane], ids[lane]))) {
      r = subtract(r, uvec2(keys[lane], ids[lane]));
      ++lane;
    }
    chosen_lane = lane;
    chosen_left = r;
  }
  barrier();
  if (thread != chosen_lane) return;
  uvec2 r = chosen_left;
  for (uint i = thread; i < width; i += kThreads) {
    float v = x[row + i];
    uint key = order_of(v);
    if (key < order || (key == order && i > last)) continue;
    uvec2 w = draw_weight(v, best, scale);
    if (less(r, w)) {
      y[o] = int(i);
      return;
    }
    r = subtract(r, w);
  }
}
