// linear for few rows: decode. The order of sums is in common/linear.cuh.
// A block takes a panel of 16 outputs and up to 8 rows; its 8 warps take a chain each, so that a warp's load is 512 neighbouring bytes of codes and the
// block's 4 KB. Lanes with the same g = lane / 4 hold the same two outputs; what they computed of a block is added by shuffles. Chains meet in shared memory.
// Grid      (ceil(N / 16), ceil(rows / 8)); blocks beyond the live rows leave at once.
// Bytes     a step of up to 8 rows reads the weights once, N K b / 8 bytes, whatever its rows: N K b / (8 rows) a token, with b bits a weight as they lie:
//           q4_0, iq4_nl 4.5   q4_k 4.625   mxfp4 4.25   q4_1 5   q5_0 5.5   q5_k 5.625   q5_1 6   q6_k 6.5625   q8_0 8.5   f16, bf16 16   f32 32
//           and beside them 1.125 K (8-bit) or 4 K bytes of inputs a row, from L2 but for the first block that asks, and 4 N written. Weights by 16 bytes a
//           lane, 512 a warp, 8-bit inputs by 16 bytes a lane and tile. Bound: memory bandwidth. Not measured: there was no card.
#pragma once
#include "cuda/common/linear.cuh"

namespace kl::cuda {

// Sum over the four lanes of a quad of part[b][o] (b block, o output), in the order (0 + 1) + (2 + 3): lane q is left with output q % 2 of block q / 2.
template <class T>
KL_DEVICE T quad_sum(const T (&part)[2][2], uint32_t q) {
  T half[2];
  KL_UNROLL
  for (uint32_t b = 0; b < 2; ++b) {
    const T send = q % 2 == 0 ? part[b][1] : part[b][0], keep = q % 2 == 0 ? part[b][0] : part[b][1];
    half[b] = keep + __shfl_xor_sync(kFullWarp, send, 1);
  }
  const T send = q / 2 == 0 ? half[1] : half[0], keep = q / 2 == 0 ? half[0] : half[1];
  return keep + __shfl_xor_sync(kFullWarp, send, 2);
}

// One warp's chain over `rows` rows from row t0: chain[r] is of output g + 8 (q % 2).
template <Format F, bool kQuantized>
KL_DEVICE void row_chain(const LinearArgs& a, const Matrix& m, uint32_t panel, uint32_t t0, uint32_t rows, float (&chain)[kLinearRowRows]) {
  using T = Traits<F>;
  const uint32_t lane = threadIdx.x % 32, q = lane % 4, o = q % 2;
  KL_UNROLL
  for (uint32_t r = 0; r < kLinearRowRows; ++r) chain[r] = 0.0f;
  Tile<F> next;  // 8-bit inputs: loaded one tile ahead, so that a warp has two under way
  if (kQuantized && threadIdx.x / 32 < m.tiles) next.load(m, panel, threadIdx.x / 32, lane);
  for (uint32_t tile = threadIdx.x / 32; tile < m.tiles; tile += kChains) {
    Tile<F> w;
    if constexpr (kQuantized) {
      w = next;
      if (tile + kChains < m.tiles) next.load(m, panel, tile + kChains, lane);
    } else {
      w.load(m, panel, tile, lane);
    }
    if constexpr (kQuantized) {
      float d[2], least[2];
      KL_UNROLL
      for (uint32_t b = 0; b < 2; ++b) {
        d[b] = w.scale(b, o);
        if constexpr (T::kMinimum) least[b] = w.minimum(b, o);
      }
      KL_UNROLL
      for (uint32_t r = 0; r < kLinearRowRows; ++r) {
        if (r >= rows) break;
        const uint64_t row = t0 + r, at = (row * m.tiles + tile) * 64 + 16 * q;
        const uint4 codes = load_16(a.q.codes + at);
        int32_t part[2][2];
        KL_UNROLL
        for (uint32_t b = 0; b < 2; ++b) {
          const auto low = static_cast<int32_t>(b == 0 ? codes.x : codes.z), high = static_cast<int32_t>(b == 0 ? codes.y : codes.w);
          KL_UNROLL
          for (uint32_t i = 0; i < 2; ++i) {
            if constexpr (F == Format::q6_k) {
              part[b][i] = w.half_scale(b, i, 0) * __dp4a(static_cast<int32_t>(w.bytes(b, i, 0)), low, 0) +
                           w.half_scale(b, i, 1) * __dp4a(static_cast<int32_t>(w.bytes(b, i, 1)), high, 0);
            } else {
              part[b][i] = __dp4a(static_cast<int32_t>(w.bytes(b, i, 1)), high, __dp4a(static_cast<int32_t>(w.bytes(b, i, 0)), low, 0));
            }
          }
        }
        const int32_t own = quad_sum(part, q), other = __shfl_xor_sync(kFullWarp, own, 2);
        const int32_t dot[2] = {q / 2 == 0 ? own : other, q / 2 == 0 ? other : own};
        KL_UNROLL
        for (uint32_t b = 0; b < 2; ++b) {
          const uint64_t block = (row * m.tiles + tile) * 2 + b;
          if constexpr (T::kMinimum) chain[r] = fma_of(least[b], a.q.sum[block], chain[r]);
          chain[r] = fma_of(static_cast<float>(dot[b]), d[b] * a.q.scale[block], chain[r]);
        }
      }
    } else {
      float v[2][2][8];
      KL_UNROLL
      for (uint32_t b = 0; b < 2; ++b) {
        w.floats(b, 0, v[b][0]);
        w.floats(b, 1, v[b][1]);
      }
      KL_UNROLL
      for (uint32_t r = 0; r < kLinearRowRows; ++r) {
        if (r >= rows) break;
        const float* x = a.x + static_cast<uint64_t>(t0 + r) * m.k;
        float part[2][2];
        KL_UNROLL
        for (uint32_t b = 0; b < 2; ++b) {
          float in[8];
          KL_UNROLL
          for (uint32_t half = 0; half < 2; ++half) {  // K is a multiple of 4: four inputs are there or not
            const uint32_t k = tile * 64 + 32 * b + 16 * half + 4 * q;
            uint4 four = make_uint4(0, 0, 0, 0);
            if (k < m.k) four = load_16(x + k);
            in[4 * half] = __uint_as_float(four.x);
            in[4 * half + 1] = __uint_as_float(four.y);
            in[4 * half + 2] = __uint_as_float(four.z);
            in[4 * half + 3] = __uint_as_float(four.w);
          }
          KL_UNROLL
          for (uint32_t i = 0; i < 2; ++i) {
            float sum = 0.0f;
            KL_UNROLL
            for (uint32_t j = 0; j < 8; ++j) sum = fma_of(v[b][i][j], in[j], sum);
            part[b][i] = sum;
          }
        }
        const float own = quad_sum(part, q), other = __shfl_xor_sync(kFullWarp, own, 2);
        chain[r] = (chain[r] + (q / 2 == 0 ? own : other)) + (q / 2 == 0 ? other : own);
      }
    }
  }
}

template <Format F, bool kQuantized>
KL_DEVICE void linear_row(const LinearArgs& a) {
  KL_SHARED(float, chains, kChains* kLinearRowRows * 16);  // [chain][row][output]
  const uint32_t live = live_rows(a.rows), t0 = blockIdx.y * kLinearRowRows, panel = blockIdx.x;
  if (t0 >= live) return;
  const uint32_t rows = live - t0 < kLinearRowRows ? live - t0 : kLinearRowRows;
  const uint32_t thread = threadIdx.x, warp = thread / 32, lane = thread % 32, q = lane % 4;
  float sums[2] = {0.0f, 0.0f};
  for (uint32_t matrix = 0; matrix < (a.up.data != nullptr ? 2u : 1u); ++matrix) {
    float chain[kLinearRowRows];
    row_chain<F, kQuantized>(a, matrix == 0 ? a.w : a.up, panel, t0, rows, chain);
    if (matrix == 1) __syncthreads();
    if (q < 2) {
      KL_UNROLL
      for (uint32_t r = 0; r < kLinearRowRows; ++r) chains[(warp * kLinearRowRows + r) * 16 + lane / 4 + 8 * q] = chain[r];
    }
    __syncthreads();
    if (thread < kLinearRowRows * 16) {  // thread = 16 row + output
      float sum = chains[thread];
      KL_UNROLL
      for (uint32_t c = 1; c < kChains; ++c) sum = sum + chains[c * kLinearRowRows * 16 + thread];
      sums[matrix] = sum;
    }
  }
  const uint32_t n = panel * 16 + thread % 16;
  if (thread < rows * 16 && n < a.w.n) finish(a, t0 + thread / 16, n, sums[0], sums[1]);
}

}  // namespace kl::cuda
