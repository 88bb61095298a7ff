// k, v [rows][G * D] float32 into cache pages (backend/kv_page.h), one row at a time; rows may be split over threads.
// Moves 8 D G bytes in and a row's share of a page out per row; K bytes of neighbouring dimensions lie a cache line or more apart, so stores bound it:
// 512 rows of 3 heads of 64 take about 0.2 ms. Bytes are those of kv_encode_k and kv_encode_v on every instruction set.
#pragma once
#include "cpu/isa/attention_kernels.h"
#include "cpu/kernels/attention_support.h"
#include "cpu/kernels/rotate.h"

namespace kl::cpu {
namespace {

constexpr uint32_t kMaxHeadSize = 1024;
constexpr uint32_t kSlots = kKvPageTokens;

// To nearest even; written without branches so that loops over it become vector code.
template <class S>
KL_INLINE uint16_t to_f16(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  const uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  const uint32_t normal = (magnitude + 0xfffu + (magnitude >> 13 & 1u) - 0x38000000u) >> 13;
  float small;  // below 2^-14: adding 0.5 leaves multiples of 2^-24, rounded, in the low bits
  __builtin_memcpy(&small, &magnitude, 4);
  small += 0.5f;
  uint32_t subnormal;
  __builtin_memcpy(&subnormal, &small, 4);
  subnormal -= 0x3f000000u;
  uint32_t half = magnitude < 0x38800000u ? subnormal : normal;
  half = magnitude >= 0x477ff000u ? 0x7c00u : half;
  half = magnitude > 0x7f800000u ? 0x7e00u : half;
  return static_cast<uint16_t>(sign | half);
}

template <class S>
KL_INLINE float from_f16(uint16_t half) {
  alignas(64) uint16_t lanes[S::kLanes] = {half};
  alignas(64) float out[S::kLanes];
  S::store(out, S::load_f16(reinterpret_cast<const std::byte*>(lanes)));
  return out[0];
}

// codes[i] = round_half_even((x[i] - minimum) / step) within [low, high]
template <class S>
KL_INLINE void to_codes(const float* x, uint32_t count, float minimum, float step, float low, float high, int32_t* codes) {
  const float inverse = step > 0.0f ? 1.0f / step : 0.0f;
  for (uint32_t i = 0; i < count; ++i) {
    float scaled = (x[i] - minimum) * inverse;
    scaled = scaled > low ? scaled : low;
    scaled = scaled < high ? scaled : high;
    scaled += 12582912.0f;  // 1.5 * 2^23: the rounded integer is in the low bits
    int32_t bits;
    __builtin_memcpy(&bits, &scaled, 4);
    codes[i] = bits - 0x4b400000;
  }
}

KL_INLINE void put_half(std::byte* at, uint16_t half) { __builtin_memcpy(at, &half, 2); }

template <class S>
KL_INLINE void write_q8(const KvPageLayout& layout, uint32_t size, std::byte* head, uint32_t token, const float* row, bool is_k) {
  std::byte* scales = head + (is_k ? layout.k_scales : layout.v_scales) + 2 * token;
  std::byte* values = head + (is_k ? layout.k : layout.v);
  for (uint32_t first = 0; first < size; first += 32) {
    const uint32_t count = size - first < 32 ? size - first : 32;
    int32_t most_bits = 0;  // magnitudes order as integers
    for (uint32_t i = 0; i < count; ++i) {
      int32_t bits;
      __builtin_memcpy(&bits, row + first + i, 4);
      bits &= 0x7fffffff;
      most_bits = bits > most_bits ? bits : most_bits;
    }
    float most;
    __builtin_memcpy(&most, &most_bits, 4);
    const uint16_t step = to_f16<S>(most / 127.0f);
    put_half(scales + first / 32 * kSlots * 2, step);
    int32_t codes[32];
    to_codes<S>(row + first, count, 0.0f, from_f16<S>(step), -127.0f, 127.0f, codes);
    if (is_k) {
      std::byte* at = values + (static_cast<size_t>(first / 4) * kSlots + token) * 4;
      for (uint32_t i = 0; i < count; ++i) at[i / 4 * kSlots * 4 + i % 4] = static_cast<std::byte>(codes[i]);
    } else {
      std::byte* at = values + (static_cast<size_t>(token / 4) * size + first) * 4 + token % 4;
      for (uint32_t i = 0; i < count; ++i) at[i * 4] = static_cast<std::byte>(codes[i]);
    }
  }
}

template <class S>
KL_INLINE void write_q4(const KvPageLayout& layout, uint32_t size, std::byte* head, uint32_t token, const float* row, bool is_k) {
  alignas(64) float x[kMaxHeadSize];
  for (uint32_t i = 0; i < size; ++i) x[i] = row[i];
  rotate<S>(x, size);
  const uint32_t group = is_k ? 64 : 32, half = size / 2;
  const float top = is_k ? 31.0f : 15.0f;
  std::byte* scales = head + (is_k ? layout.k_scales : layout.v_scales) + 2 * token;
  const size_t minima = static_cast<size_t>(is_k ? layout.k_groups : layout.v_groups) * kSlots * 2;
  int32_t codes[kMaxHeadSize];
  for (uint32_t first = 0; first < size; first += group) {
    const uint32_t count = size - first < group ? size - first : group;
    float low = x[first], high = x[first];
    for (uint32_t i = 1; i < count; ++i) {
      low = x[first + i] < low ? x[first + i] : low;
      high = x[first + i] > high ? x[first + i] : high;
    }
    const uint16_t step = to_f16<S>((high - low) / top), minimum = to_f16<S>(low);
    std::byte* at = scales + first / group * kSlots * 2;
    put_half(at, step);
    put_half(at + minima, minimum);
    to_codes<S>(x + first, count, from_f16<S>(minimum), from_f16<S>(step), 0.0f, top, codes + first);
  }
  if (is_k) {
    for (uint32_t d = 0; d < size; d += 8) {
      uint8_t bytes[4];
      for (int b = 0; b < 4; ++b) bytes[b] = static_cast<uint8_t>((codes[d + b] & 15) | (codes[d + 4 + b] & 15) << 4);
      __builtin_memcpy(head + layout.k + (static_cast<size_t>(d / 8) * kSlots + token) * 4, bytes, sizeof bytes);
    }
    for (uint32_t first = 0; first < size; first += 32) {
      uint32_t word = 0;
      for (uint32_t i = 0; i < 32 && first + i < size; ++i) word |= static_cast<uint32_t>(codes[first + i]) >> 4 << i;
      __builtin_memcpy(head + layout.k_bits + (static_cast<size_t>(first / 32) * kSlots + token) * 4, &word, 4);
    }
  } else {
    std::byte* at = head + layout.v + static_cast<size_t>(token / 4) * half * 4 + token % 4;
    for (uint32_t c = 0; c < half; ++c) at[4 * c] = static_cast<std::byte>(codes[c] | codes[c + half] << 4);
  }
}

template <class S>
KL_INLINE void write_row(const KvPageLayout& layout, KvFormat format, uint32_t size, std::byte* head, uint32_t token, const float* k,
                         const float* v) {
  switch (format) {
    case KvFormat::f32: {
      for (uint32_t d = 0; d < size; ++d) __builtin_memcpy(head + layout.k + (static_cast<size_t>(d) * kSlots + token) * 4, k + d, 4);
      __builtin_memcpy(head + layout.v + static_cast<size_t>(token) * size * 4, v, static_cast<size_t>(size) * 4);
      break;
    }
    case KvFormat::f16: {
      alignas(64) uint16_t halves[kMaxHeadSize];
      for (uint32_t d = 0; d < size; ++d) halves[d] = to_f16<S>(v[d]);
      __builtin_memcpy(head + layout.v + static_cast<size_t>(token) * size * 2, halves, static_cast<size_t>(size) * 2);
      for (uint32_t d = 0; d < size; ++d) halves[d] = to_f16<S>(k[d]);
      for (uint32_t d = 0; d < size; ++d) put_half(head + layout.k + (static_cast<size_t>(d) * kSlots + token) * 2, halves[d]);
      break;
    }
    case KvFormat::q8:
      write_q8<S>(layout, size, head, token, k, true);
      write_q8<S>(layout, size, head, token, v, false);
      break;
    case KvFormat::q4:
      write_q4<S>(layout, size, head, token, k, true);
      write_q4<S>(layout, size, head, token, v, false);
      break;
  }
}

template <class S>
[[gnu::noinline]] void kv_write(const KvLayer& cache, const uint32_t* pages, const int32_t* positions, const float* k, const float* v,
                                size_t kv_stride, uint32_t rows) {
  const KvPageLayout layout = page_layout(cache.shape);
  const uint32_t size = cache.shape.head_size;
  for (uint32_t t = 0; t < rows; ++t) {
    const uint32_t position = static_cast<uint32_t>(positions[t]);
    std::byte* page = cache.base + pages[position / kSlots] * layout.page_bytes;
    for (uint32_t g = 0; g < cache.shape.kv_heads; ++g) {
      const size_t at = t * kv_stride + static_cast<size_t>(g) * size;
      write_row<S>(layout, cache.shape.format, size, page + g * layout.head_bytes, position % kSlots, k + at, v + at);
    }
  }
}

}  // namespace
}  // namespace kl::cpu
