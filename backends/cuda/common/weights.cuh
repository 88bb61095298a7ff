// A lane's share of a weight tile (16 outputs x 64 of K): outputs g and g + 8, of each of the two blocks of 32 weights 4q .. 4q+3 and 16+4q .. 16+4q+3, where
// g = lane / 4 and q = lane % 4. That is operand A of mma.sync m16n8k32, register (output, half) of a block. The layout's diagrams are in cuda/pack.h.
#pragma once
#include "core/format.h"
#include "cuda/common/kernel.cuh"
#include "cuda/common/matrix.h"
#include "cuda/common/numbers.cuh"

// EACH(format) for the weight formats: a kernel of each.
#define KL_QUANTIZED_FORMATS(EACH) \
  EACH(q8_0) EACH(q4_0) EACH(q4_1) EACH(q5_0) EACH(q5_1) EACH(q4_k) EACH(q5_k) EACH(q6_k) EACH(iq4_nl) EACH(mxfp4)
#define KL_WEIGHT_FORMATS(EACH) EACH(f32) EACH(f16) EACH(bf16) KL_QUANTIZED_FORMATS(EACH)

namespace kl::cuda {

template <Format F>
struct Traits {
  static constexpr bool kFloat = F == Format::f32 || F == Format::f16 || F == Format::bf16;
  static constexpr uint32_t kVectors = F == Format::f32    ? 8
                                       : kFloat            ? 4
                                       : F == Format::q8_0 ? 2
                                                           : 1;  // 16-byte vectors of codes a lane and tile
  static constexpr uint32_t kHighBits = F == Format::q5_0 || F == Format::q5_1 || F == Format::q5_k ? 1 : F == Format::q6_k ? 2 : 0;
  static constexpr bool kSuper4 = F == Format::q4_k || F == Format::q5_k;
  static constexpr bool kMinimum = F == Format::q4_1 || F == Format::q5_1 || kSuper4;
  static constexpr bool kTable = F == Format::iq4_nl || F == Format::mxfp4;
  static constexpr uint32_t kMiddle = F == Format::q4_0 ? 8 : F == Format::q5_0 ? 16 : F == Format::q6_k ? 32 : 0;  // subtracted from codes
};

// The four nibbles in the low halves of a word's bytes as the bytes of a table of 16 (words t0 to t3).
KL_DEVICE uint32_t look_up(uint32_t nibbles, uint32_t t0, uint32_t t1, uint32_t t2, uint32_t t3) {
  const uint32_t packed = (nibbles & 15u) | (nibbles >> 4 & 0xf0u) | (nibbles >> 8 & 0xf00u) | (nibbles >> 12 & 0xf000u);
  const uint32_t low = __byte_perm(t0, t1, packed & 0x7777u), high = __byte_perm(t2, t3, packed & 0x7777u);
  const uint32_t upper = (nibbles >> 3 & 0x01010101u) * 255u;
  return (high & upper) | (low & ~upper);
}

template <Format F>
struct Tile {
  using T = Traits<F>;
  uint4 codes[T::kVectors];
  uint32_t high[2];
  uint2 scales[2];  // [d, m] of {g, g + 8} x two blocks, in the format's own numbers
  uint2 super;      // of 256 weights

  // panel: of matrix m. lane: 0 to 31, not necessarily the caller's own.
  KL_DEVICE void load(const Matrix& m, uint32_t panel, uint32_t tile, uint32_t lane) {
    const auto* base = static_cast<const unsigned char*>(m.data) + static_cast<uint64_t>(panel) * m.panel_bytes;
    KL_UNROLL
    for (uint32_t i = 0; i < T::kVectors; ++i) codes[i] = load_16(base + ((tile * T::kVectors + i) * 32 + lane) * 16);
    const uint32_t g = lane / 4;
    if constexpr (T::kHighBits == 1) high[0] = load_4(base + m.high_at + (tile * 32 + lane) * 4);
    if constexpr (T::kHighBits == 2) {
      const uint2 h = load_8(base + m.high_at + (tile * 32 + lane) * 8);
      high[0] = h.x;
      high[1] = h.y;
    }
    const unsigned char* scale = base + m.scale_at;
    if constexpr (F == Format::q4_1 || F == Format::q5_1) {
      scales[0] = load_8(scale + tile * 128 + g * 8);
      scales[1] = load_8(scale + tile * 128 + 64 + g * 8);
    } else if constexpr (F == Format::mxfp4) {
      scales[0].x = load_4(scale + tile * 32 + g * 4);
    } else if constexpr (T::kSuper4) {
      scales[0].x = load_4(scale + tile * 64 + g * 4);
      scales[1].x = load_4(scale + tile * 64 + 32 + g * 4);
      super = load_8(base + m.super_at + tile / 4 * 64 + g * 8);
    } else if constexpr (F == Format::q6_k) {
      scales[0] = load_8(scale + tile * 64 + g * 8);
      super.x = load_4(base + m.super_at + tile / 4 * 32 + g * 4);
    } else if constexpr (!T::kFloat) {
      scales[0] = load_8(scale + tile * 64 + g * 8);
    }
  }

  // Weights 16 half + 4q .. + 3 of block b of output g + 8 o, as signed bytes without their scale.
  KL_DEVICE uint32_t bytes(uint32_t b, uint32_t o, uint32_t half) const {
    if constexpr (F == Format::q8_0) {
      const uint4& v = codes[b];
      return o == 0 ? (half == 0 ? v.x : v.y) : (half == 0 ? v.z : v.w);
    }
    const uint4& v = codes[0];
    const uint32_t word = b == 0 ? (o == 0 ? v.x : v.y) : (o == 0 ? v.z : v.w);
    uint32_t c = (half == 0 ? word : word >> 4) & 0x0f0f0f0fu;
    if constexpr (F == Format::iq4_nl) return look_up(c, 0xbfad9881u, 0xf6eaddcfu, 0x26190d01u, 0x71594535u);  // core/formats/rows.h
    if constexpr (F == Format::mxfp4) return look_up(c, 0x03020100u, 0x0c080604u, 0xfdfeff00u, 0xf4f8fafcu);
    if constexpr (T::kHighBits == 1) c |= (high[0] >> (4 * b + 2 * o + half) & 0x01010101u) << 4;
    if constexpr (T::kHighBits == 2) c |= (high[b] >> (2 * (2 * o + half)) & 0x03030303u) << 4;
    if constexpr (T::kMiddle != 0) c = ((c | 0x80808080u) - T::kMiddle * 0x01010101u) ^ 0x80808080u;  // no byte borrows from the next
    return c;
  }

  // What a code of block b of output g + 8 o is multiplied by, and what is then added. Exact, as the format defines them; q6_k: without half_scale().
  KL_DEVICE float scale(uint32_t b, uint32_t o) const {
    if constexpr (F == Format::mxfp4) {
      const uint32_t e = byte_of(scales[0].x, 2 * b + o);
      return __uint_as_float(e < 2 ? 0x00200000u << e : (e - 1) << 23);  // 2^(e - 128), subnormal for 0 and 1
    }
    if constexpr (T::kSuper4) return half_to_float(super.x >> (16 * o) & 0xffffu) * static_cast<float>(byte_of(scales[0].x, 2 * b + o));
    if constexpr (F == Format::q6_k) return half_to_float(super.x >> (16 * o) & 0xffffu);
    return half_to_float((b == 0 ? scales[0].x : scales[0].y) >> (16 * o) & 0xffffu);
  }
  KL_DEVICE float minimum(uint32_t b, uint32_t o) const {
    if constexpr (T::kSuper4) return -(half_to_float(super.y >> (16 * o) & 0xffffu) * static_cast<float>(byte_of(scales[1].x, 2 * b + o)));
    return half_to_float((b == 0 ? scales[1].x : scales[1].y) >> (16 * o) & 0xffffu);
  }
  // q6_k: the factor of 16 weights.
  KL_DEVICE int32_t half_scale(uint32_t b, uint32_t o, uint32_t half) const {
    return signed_byte(b == 0 ? scales[0].x : scales[0].y, 2 * o + half);
  }

  // The eight weights as numbers, to the bit what the format's definition gives: w[4 half + i] is weight 16 half + 4q + i.
  KL_DEVICE void floats(uint32_t b, uint32_t o, float (&w)[8]) const {
    if constexpr (F == Format::f32) {
      KL_UNROLL
      for (uint32_t half = 0; half < 2; ++half) {
        const uint4 first = o == 0 ? codes[half] : codes[2 + half], second = o == 0 ? codes[4 + half] : codes[6 + half];
        const uint4 v = b == 0 ? first : second;  // constant indices: numbers in registers have no address
        w[4 * half] = __uint_as_float(v.x);
        w[4 * half + 1] = __uint_as_float(v.y);
        w[4 * half + 2] = __uint_as_float(v.z);
        w[4 * half + 3] = __uint_as_float(v.w);
      }
    } else if constexpr (T::kFloat) {
      const uint4& v = codes[2 * b + o];
      const uint32_t words[4] = {v.x, v.y, v.z, v.w};
      KL_UNROLL
      for (uint32_t i = 0; i < 4; ++i) {
        w[2 * i] = F == Format::f16 ? half_to_float(words[i] & 0xffffu) : bfloat_to_float(words[i] & 0xffffu);
        w[2 * i + 1] = F == Format::f16 ? half_to_float(words[i] >> 16) : bfloat_to_float(words[i] >> 16);
      }
    } else {
      const float d = scale(b, o);
      float m = 0;
      if constexpr (T::kMinimum) m = minimum(b, o);
      KL_UNROLL
      for (uint32_t half = 0; half < 2; ++half) {
        const uint32_t c = bytes(b, o, half);
        float step = d;
        if constexpr (F == Format::q6_k) step = d * static_cast<float>(half_scale(b, o, half));  // exact
        KL_UNROLL
        for (uint32_t i = 0; i < 4; ++i) {
          const float product =
              step * static_cast<float>(signed_byte(c, i));  // exact where a minimum is added, so that the sum is rounded once
          w[4 * half + i] = T::kMinimum ? product + m : product;
        }
      }
    }
  }
};

}  // namespace kl::cuda
