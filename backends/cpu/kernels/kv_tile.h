// A head of a cache page as float32: K [D][32 tokens], V [32 tokens][D], q4 left in its rotated basis. Formats: backend/kv_page.h.
// Preconditions: k has D * 32 floats, v 32 * D + 16 (readers load whole vectors past a row's end). Slots never written hold garbage here as there.
// Cost: one pass; for f16 D * 64 conversions, a 40th of the products of a 16-row query tile with 3 heads.
#pragma once
#include "backend/kv_page.h"
#include "cpu/simd/common.h"

namespace kl::cpu {
namespace {

constexpr int kTokens = kKvPageTokens;

template <class S>
KL_INLINE void f16_row_to_f32(const std::byte* from, float* to, uint32_t count) {  // count a multiple of 16
  for (uint32_t i = 0; i < count; i += S::kLanes) S::store(to + i, S::load_f16(from + 2 * i));
}

// Codes are unpacked by shifting 32-bit words: lanes are tokens (K) or dimensions (V), the same loop on every instruction set.
template <class S>
[[gnu::noinline]] void q8_to_tile(const KvPageLayout& layout, uint32_t head_size, const std::byte* head, float* k, float* v) {
  alignas(64) float scale[kTokens];
  alignas(64) int32_t words[kTokens];
  for (uint32_t d = 0; d < head_size; d += 4) {
    if (d % 32 == 0) f16_row_to_f32<S>(head + layout.k_scales + d / 32 * kTokens * 2, scale, kTokens);
    __builtin_memcpy(words, head + layout.k + static_cast<size_t>(d) * kTokens, sizeof words);
    for (int b = 0; b < 4; ++b) {
      float* out = k + static_cast<size_t>(d + b) * kTokens;
      const int up = 24 - 8 * b;
      for (int t = 0; t < kTokens; ++t)
        out[t] = scale[t] * static_cast<float>(static_cast<int32_t>(static_cast<uint32_t>(words[t]) << up) >> 24);
    }
  }
  for (uint32_t g = 0; g < layout.v_groups; ++g) {
    f16_row_to_f32<S>(head + layout.v_scales + g * kTokens * 2, scale, kTokens);
    const uint32_t first = g * 32, width = head_size - first < 32 ? head_size - first : 32;
    for (int i = 0; i < kTokens / 4; ++i) {
      __builtin_memcpy(words, head + layout.v + (static_cast<size_t>(i) * head_size + first) * 4, width * 4);
      for (int b = 0; b < 4; ++b) {
        float* out = v + static_cast<size_t>(4 * i + b) * head_size + first;
        const int up = 24 - 8 * b;
        const float s = scale[4 * i + b];
        for (uint32_t d = 0; d < width; ++d)
          out[d] = s * static_cast<float>(static_cast<int32_t>(static_cast<uint32_t>(words[d]) << up) >> 24);
      }
    }
  }
}

template <class S>
[[gnu::noinline]] void q4_to_tile(const KvPageLayout& layout, uint32_t head_size, const std::byte* head, float* k, float* v) {
  alignas(64) float scale[kTokens], minimum[kTokens];
  alignas(64) uint32_t words[kTokens], upper[kTokens];
  const size_t minima = static_cast<size_t>(layout.k_groups) * kTokens * 2;
  for (uint32_t d = 0; d < head_size; d += 8) {
    if (d % 64 == 0) {
      const std::byte* at = head + layout.k_scales + d / 64 * kTokens * 2;
      f16_row_to_f32<S>(at, scale, kTokens);
      f16_row_to_f32<S>(at + minima, minimum, kTokens);
    }
    if (d % 32 == 0) __builtin_memcpy(upper, head + layout.k_bits + d / 32 * kTokens * 4, sizeof upper);
    __builtin_memcpy(words, head + layout.k + static_cast<size_t>(d / 8) * kTokens * 4, sizeof words);
    for (int e = 0; e < 8; ++e) {
      float* out = k + static_cast<size_t>(d + e) * kTokens;
      const int down = 8 * (e % 4) + 4 * (e / 4), bit = d % 32 + e;
      for (int t = 0; t < kTokens; ++t) {
        const uint32_t code = (words[t] >> down & 15) | (upper[t] >> bit & 1) << 4;
        out[t] = minimum[t] + scale[t] * static_cast<float>(static_cast<int32_t>(code));
      }
    }
  }
  const uint32_t half = head_size / 2;
  const std::byte* codes = head + layout.v;
  for (uint32_t first = 0; first < head_size;) {  // columns of one scale group and one nibble
    const bool high = first >= half;
    uint32_t end = (first / 32 + 1) * 32;
    if (!high && end > half) end = half;
    if (end > head_size) end = head_size;
    const std::byte* at = head + layout.v_scales + first / 32 * kTokens * 2;
    f16_row_to_f32<S>(at, scale, kTokens);
    f16_row_to_f32<S>(at + static_cast<size_t>(layout.v_groups) * kTokens * 2, minimum, kTokens);
    for (int i = 0; i < kTokens / 4; ++i) {
      __builtin_memcpy(words, codes + (static_cast<size_t>(i) * half + first - (high ? half : 0)) * 4, (end - first) * 4);
      for (int b = 0; b < 4; ++b) {
        float* out = v + static_cast<size_t>(4 * i + b) * head_size + first;
        const int down = 8 * b + (high ? 4 : 0);
        const float s = scale[4 * i + b], m = minimum[4 * i + b];
        for (uint32_t d = 0; d < end - first; ++d) out[d] = m + s * static_cast<float>(static_cast<int32_t>(words[d] >> down & 15));
      }
    }
    first = end;
  }
}

template <class S>
KL_INLINE void page_to_tile(KvFormat format, const KvPageLayout& layout, uint32_t head_size, const std::byte* head, float* k, float* v) {
  const uint32_t values = head_size * kTokens;
  switch (format) {
    case KvFormat::f32:
      __builtin_memcpy(k, head + layout.k, static_cast<size_t>(values) * 4);
      __builtin_memcpy(v, head + layout.v, static_cast<size_t>(values) * 4);
      break;
    case KvFormat::f16:
      f16_row_to_f32<S>(head + layout.k, k, values);
      f16_row_to_f32<S>(head + layout.v, v, values);
      break;
    case KvFormat::q8:
      q8_to_tile<S>(layout, head_size, head, k, v);
      break;
    case KvFormat::q4:
      q4_to_tile<S>(layout, head_size, head, k, v);
      break;
  }
}

}  // namespace
}  // namespace kl::cpu
