// A head of q, k or v on its way from the product: RMS norm and rope where the arguments say so, then q to where attention reads it, k and v into their page in the
// cache's format (backend/kv_page.h). A warp takes a head of a row, in shared memory. No two tokens share a byte of a page, so numbers narrower than a word are stored
// as they are.
// Order: a head norm's lane sums elements lane, lane + 32, ... by fma; lanes add in a binary tree (partner lane ^ 16, 8, 4, 2, 1): a function of D alone.
#pragma once
#include "cuda/common/kv_page.cuh"
#include "cuda/common/norm.cuh"
#include "cuda/common/rope.cuh"
#include "cuda/kernels/kv_write.h"

namespace kl::cuda {

template <class Combine>
KL_DEVICE float warp_all(float v, const Combine& combine) {
  KL_UNROLL
  for (int step = 16; step > 0; step /= 2) v = combine(v, __shfl_xor_sync(kFullWarp, v, step));
  return v;
}
KL_DEVICE float warp_max(float v) {
  return warp_all(v, [](float a, float b) { return fmaxf(a, b); });
}
KL_DEVICE float warp_min(float v) {
  return warp_all(v, [](float a, float b) { return fminf(a, b); });
}

KL_DEVICE void norm_head(SharedPointer<float> x, const float* gain, uint32_t size, float eps, uint32_t lane) {
  float squares = 0.0f;
  for (uint32_t d = lane; d < size; d += 32) {
    const float v = x[d];
    squares = fma_of(v, v, squares);
  }
  const float r = rms_factor(warp_sum(squares), size, eps);
  for (uint32_t d = lane; d < size; d += 32) x[d] = x[d] * r * gain[d];
  __syncwarp();
}

KL_DEVICE void turn_head(const KvWriteArgs& a, SharedPointer<float> x, uint32_t t, uint32_t lane) {
  for (uint32_t pair = lane; pair < a.pairs; pair += 32) {
    const float2 angle = angle_of(a.turn, a.pairs, pair, a.positions[3 * t + a.component[pair]]);
    const uint32_t i = a.neighbours ? 2 * pair : pair, j = a.neighbours ? 2 * pair + 1 : pair + a.pairs;
    const float first = x[i], second = x[j];
    x[i] = first * angle.x - second * angle.y;
    x[j] = first * angle.y + second * angle.x;
  }
  __syncwarp();
}

KL_DEVICE void put_half(uint8_t* at, uint32_t index, uint32_t bits) {
  reinterpret_cast<uint16_t*>(at)[index] = static_cast<uint16_t>(bits);
}

// round_half_even(v / step) within [low, high]; v counts as 0 where the step is 0; low for what is not a number.
KL_DEVICE int32_t code_of(float v, float inverse, int32_t low, int32_t high) {
  const float scaled = v * inverse;
  if (!(scaled > static_cast<float>(low))) return low;
  return scaled >= static_cast<float>(high) ? high : __float2int_rn(scaled);
}
KL_DEVICE float inverse_of(float step) { return step > 0.0f ? 1.0f / step : 0.0f; }

template <bool kIsK>
KL_DEVICE void write_f32(const KvPages& p, uint8_t* head, uint32_t token, SharedPointer<float> x, uint32_t size, uint32_t lane) {
  auto* to = reinterpret_cast<float*>(head + (kIsK ? p.k : p.v));
  for (uint32_t d = lane; d < size; d += 32) to[kIsK ? d * 32 + token : token * size + d] = x[d];
}

template <bool kIsK>
KL_DEVICE void write_f16(const KvPages& p, uint8_t* head, uint32_t token, SharedPointer<float> x, uint32_t size, uint32_t lane) {
  if constexpr (kIsK) {
    for (uint32_t d = lane; d < size; d += 32) put_half(head + p.k, d * 32 + token, float_to_half(x[d]));
  } else {
    auto* to = reinterpret_cast<uint32_t*>(head + p.v) + token * (size / 2);
    for (uint32_t i = lane; i < size / 2; i += 32) to[i] = floats_to_halves(x[2 * i], x[2 * i + 1]);
  }
}

template <bool kIsK>
KL_DEVICE void write_q8(const KvPages& p, uint8_t* head, uint32_t token, SharedPointer<float> x, uint32_t size, uint32_t lane) {
  for (uint32_t first = 0; first < size; first += 32) {  // K and V alike have groups of 32
    const uint32_t d = first + lane;
    float value = 0.0f;
    if (d < size) value = x[d];
    const uint32_t h = float_to_half(warp_max(fabsf(value)) / 127.0f);
    if (lane == 0) put_half(head + (kIsK ? 0 : p.v_scales), first + token, h);
    const int32_t code = code_of(value, inverse_of(half_to_float(h)), -127, 127);
    if (d >= size) continue;
    head[kIsK ? p.k + (d / 4 * 32 + token) * 4 + d % 4 : p.v + (token / 4 * size + d) * 4 + token % 4] = static_cast<uint8_t>(code);
  }
}

template <bool kIsK>
KL_DEVICE void write_q4(const KvPages& p, uint8_t* head, uint32_t token, SharedPointer<float> x, uint32_t size, uint32_t lane) {
  constexpr uint32_t kGroup = kIsK ? kKGroup<KvFormat::q4> : kVGroup, kParts = kGroup / 32;
  constexpr int32_t kTop = kIsK ? 31 : 15;
  const uint32_t groups = (size + kGroup - 1) / kGroup;
  uint8_t* scales = head + (kIsK ? 0 : p.v_scales);
  rotate_rows<true>(x, 1, size, lane, 32);
  for (uint32_t g = 0; g < groups; ++g) {
    float values[kParts], low = 0.0f, high = 0.0f;
    KL_UNROLL
    for (uint32_t i = 0; i < kParts; ++i) {
      const uint32_t d = g * kGroup + 32 * i + lane;
      values[i] = x[d < size ? d : g * kGroup];  // the group's first value changes neither end
      low = i == 0 ? values[i] : fminf(low, values[i]);
      high = i == 0 ? values[i] : fmaxf(high, values[i]);
    }
    low = warp_min(low);
    high = warp_max(high);
    const uint32_t h = float_to_half((high - low) / static_cast<float>(kTop)), m = float_to_half(low);
    if (lane == 0) {
      put_half(scales, g * 32 + token, h);
      put_half(scales, (groups + g) * 32 + token, m);
    }
    const float inverse = inverse_of(half_to_float(h)), least = half_to_float(m);
    KL_UNROLL
    for (uint32_t i = 0; i < kParts; ++i) {
      const uint32_t d = g * kGroup + 32 * i + lane;
      const auto code = static_cast<uint32_t>(code_of(values[i] - least, inverse, 0, kTop));
      if constexpr (kIsK) {
        // Lane is d % 32: the votes are the word of fifth bits, and dimension d + 4 is four lanes on.
        const uint32_t fifths = __ballot_sync(kFullWarp, d < size && code >= 16 ? 1 : 0), other = __shfl_xor_sync(kFullWarp, code, 4);
        if (d < size && lane % 8 < 4)
          head[p.k + (d / 8 * 32 + token) * 4 + d % 4] = static_cast<uint8_t>((code & 15u) | (other & 15u) << 4);
        if (d < size && lane == 0) reinterpret_cast<uint32_t*>(head + p.k_bits)[d / 32 * 32 + token] = fifths;
      } else {
        __syncwarp();
        if (d < size) x[d] = static_cast<float>(code);
      }
    }
  }
  if constexpr (!kIsK) {
    __syncwarp();
    const uint32_t columns = size / 2;
    for (uint32_t c = lane; c < columns; c += 32) {
      const float first = x[c], second = x[c + columns];
      head[p.v + (token / 4 * columns + c) * 4 + token % 4] =
          static_cast<uint8_t>(static_cast<uint32_t>(first) | static_cast<uint32_t>(second) << 4);
    }
  }
}

template <KvFormat F, bool kIsK>
KL_DEVICE void write(const KvPages& p, uint8_t* head, uint32_t token, SharedPointer<float> x, uint32_t size, uint32_t lane) {
  if constexpr (F == KvFormat::f32) write_f32<kIsK>(p, head, token, x, size, lane);
  if constexpr (F == KvFormat::f16) write_f16<kIsK>(p, head, token, x, size, lane);
  if constexpr (F == KvFormat::q8) write_q8<kIsK>(p, head, token, x, size, lane);
  if constexpr (F == KvFormat::q4) write_q4<kIsK>(p, head, token, x, size, lane);
}

// Head `item` of row t (heads of q, then of k, then of v) to x, the warp's own, normed and turned. A head of q is stored and done with; true: store_head is next.
KL_DEVICE bool take_head(const KvWriteArgs& a, uint32_t t, uint32_t item, SharedPointer<float> x, uint32_t lane) {
  const bool is_q = item < a.heads, is_v = item >= a.heads + a.kv_heads;
  const uint32_t h = is_q ? item : is_v ? item - a.heads - a.kv_heads : item - a.heads, size = a.head_size;
  const float* from = (is_q ? a.q : is_v ? a.v : a.k) + (static_cast<uint64_t>(t) * (is_q ? a.heads : a.kv_heads) + h) * size;
  for (uint32_t d = lane; d < size; d += 32) x[d] = from[d];
  __syncwarp();
  if (!is_v) {
    const float* gain = is_q ? a.q_gain : a.k_gain;
    if (gain != nullptr) norm_head(x, gain, size, a.eps, lane);
    if (a.pairs > 0) turn_head(a, x, t, lane);
  }
  if (!is_q) return true;
  float* to = a.q_out + (static_cast<uint64_t>(t) * a.heads + h) * size;
  for (uint32_t d = lane; d < size; d += 32) to[d] = x[d];
  return false;
}

// A head of k or v to its page.
template <KvFormat F>
KL_DEVICE void store_head(const KvWriteArgs& a, uint32_t t, uint32_t item, SharedPointer<float> x, uint32_t lane) {
  const bool is_v = item >= a.heads + a.kv_heads;
  const uint32_t h = is_v ? item - a.heads - a.kv_heads : item - a.heads;
  const auto position = static_cast<uint32_t>(a.pages.row_slot[t]);
  uint8_t* head = head_of(a.pages, a.pages.row_sequence[t], position, h);
  if (is_v) {
    write<F, false>(a.pages, head, position % kPageTokens, x, a.head_size, lane);
  } else {
    write<F, true>(a.pages, head, position % kPageTokens, x, a.head_size, lane);
  }
}

}  // namespace kl::cuda
