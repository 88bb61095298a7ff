// What the tensor-core linears share: a warp's operands of a weight tile, and a tile's part of a chain for 16 outputs x 8 rows. The same bits as
// linear_row.cuh where inputs are 8-bit (a block's dot is an exact integer); of halves, see below. Outputs are the M of mma.sync and rows its N: weights lie
// in memory as operand A.
//
// 16-bit inputs (a plan's choice; every kernel of such a plan is one of these, whatever its rows): a block's dot is the sum of code * x over 32 as mma.sync
// m16n8k16 adds it, twice in turn (q6_k: one sum a half, times its half_scale), S the sum of x; chain = fma(minimum, S, chain), chain = fma(dot, scale,
// chain). Codes are exact halves, so weights are not rounded. The tensor core's order within 16 products is its own.
#pragma once
#include "cuda/common/linear.cuh"
#include "cuda/common/mma.cuh"

namespace kl::cuda {

enum class Inputs { bytes, halves };

// The bytes of a word, signed, as two words of two halves; exact.
KL_DEVICE uint2 bytes_to_halves(uint32_t word) {
#if defined(__CUDACC__)
  const uint32_t up = word ^ 0x80808080u, first = __byte_perm(up, 0x64646464u, 0x4140),
                 second = __byte_perm(up, 0x64646464u, 0x4342);   // 1024 + 128 + code
  const __half2 middle = __half2half2(__ushort_as_half(0x6480));  // 1152
  const __half2 low = __hsub2(*reinterpret_cast<const __half2*>(&first), middle),
                high = __hsub2(*reinterpret_cast<const __half2*>(&second), middle);
  return make_uint2(*reinterpret_cast<const uint32_t*>(&low), *reinterpret_cast<const uint32_t*>(&high));
#else
  const auto code = [&](uint32_t i) { return static_cast<float>(signed_byte(word, i)); };
  return make_uint2(floats_to_halves(code(0), code(1)), floats_to_halves(code(2), code(3)));
#endif
}

// A lane's share of a weight tile as operands: outputs g, g + 8 of blocks 0, 1.
template <Format F>
struct Operand {
  using T = Traits<F>;
  uint32_t codes[2][4];  // [block][2 half + output]
  float scale[2][2], minimum[2][2];
  int32_t half_scale[2][2][2];  // [block][output][half] of q6_k

  KL_DEVICE explicit Operand(const Tile<F>& w) {
    KL_UNROLL
    for (uint32_t b = 0; b < 2; ++b) {
      KL_UNROLL
      for (uint32_t o = 0; o < 2; ++o) {
        codes[b][o] = w.bytes(b, o, 0);
        codes[b][2 + o] = w.bytes(b, o, 1);
        scale[b][o] = w.scale(b, o);
        if constexpr (T::kMinimum) minimum[b][o] = w.minimum(b, o);
        if constexpr (F == Format::q6_k) {
          half_scale[b][o][0] = w.half_scale(b, o, 0);
          half_scale[b][o][1] = w.half_scale(b, o, 1);
        }
      }
    }
  }
};

// A lane's share of 8 rows' inputs of a tile: row g's weights (common/weights.cuh), and of rows 2q, 2q + 1 what belongs to their blocks.
template <Inputs I>
struct RowTile {
  static constexpr uint32_t kVectors = I == Inputs::bytes ? 1 : 2;
  uint4 values[kVectors];
  float4 scale, sum;  // row 2q: blocks 0, 1; row 2q + 1: blocks 0, 1
};

KL_DEVICE float of_block(const float4& v, uint32_t row, uint32_t b) { return row == 0 ? (b == 0 ? v.x : v.y) : (b == 0 ? v.z : v.w); }

// chain[i]: of output g + 8 (i / 2), row 2q + i % 2.
template <Format F, Inputs I>
KL_DEVICE void add_tile(const Operand<F>& w, const RowTile<I>& x, float (&chain)[4]) {
  using T = Traits<F>;
  constexpr bool kHalfScales = F == Format::q6_k;
  KL_UNROLL
  for (uint32_t b = 0; b < 2; ++b) {
    float dot[4];
    if constexpr (I == Inputs::bytes) {
      const uint32_t low = b == 0 ? x.values[0].x : x.values[0].z, high = b == 0 ? x.values[0].y : x.values[0].w;
      if constexpr (kHalfScales) {
        int32_t first[4] = {0, 0, 0, 0}, second[4] = {0, 0, 0, 0};
        mma_m16n8k16_s8(first, {w.codes[b][0], w.codes[b][1]}, {low});
        mma_m16n8k16_s8(second, {w.codes[b][2], w.codes[b][3]}, {high});
        KL_UNROLL
        for (uint32_t i = 0; i < 4; ++i)
          dot[i] = static_cast<float>(w.half_scale[b][i / 2][0] * first[i] + w.half_scale[b][i / 2][1] * second[i]);
      } else {
        // 1.5 * 2^23 + n is, as bits, that number's bits + n (|n| < 2^22): a subtraction makes the float.
        constexpr int32_t kBits = 0x4b400000;
        int32_t sum[4] = {kBits, kBits, kBits, kBits};
        mma_m16n8k32_s8(sum, w.codes[b], {low, high});
        KL_UNROLL
        for (uint32_t i = 0; i < 4; ++i) dot[i] = __int_as_float(sum[i]) - 12582912.0f;
      }
    } else {
      float part[2][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}};
      KL_UNROLL
      for (uint32_t half = 0; half < 2; ++half) {
        const uint2 g = bytes_to_halves(w.codes[b][2 * half]), g8 = bytes_to_halves(w.codes[b][2 * half + 1]);
        const uint4& v = x.values[b];
        mma_m16n8k16_f16(part[kHalfScales ? half : 0], {g.x, g8.x, g.y, g8.y}, {half == 0 ? v.x : v.z, half == 0 ? v.y : v.w});
      }
      KL_UNROLL
      for (uint32_t i = 0; i < 4; ++i) {
        dot[i] = part[0][i];
        if constexpr (kHalfScales)
          dot[i] =
              fma_of(static_cast<float>(w.half_scale[b][i / 2][1]), part[1][i], static_cast<float>(w.half_scale[b][i / 2][0]) * part[0][i]);
      }
    }
    KL_UNROLL
    for (uint32_t i = 0; i < 4; ++i) {
      if constexpr (T::kMinimum) chain[i] = fma_of(w.minimum[b][i / 2], of_block(x.sum, i % 2, b), chain[i]);
      const float d = w.scale[b][i / 2];
      chain[i] = fma_of(dot[i], I == Inputs::bytes ? d * of_block(x.scale, i % 2, b) : d, chain[i]);
    }
  }
}

}  // namespace kl::cuda
