// linear for some rows on tensor cores: steps of a batch, short prompts. The order of sums is in common/linear.cuh and linear_mma.cuh.
// A block takes a panel of 16 outputs and up to 64 rows; its 8 warps take a chain each, as in linear_row.cuh, and a warp multiplies a weight tile by 8 rows at
// a time. Weights go from memory to registers, one tile ahead. Chains meet in shared memory.
// Grid      (ceil(N / 16), ceil(rows / 64)); blocks beyond the live rows leave at once, and groups of 8 rows beyond them are not computed.
// Bytes     the weights once per 64 rows; the inputs from L2, once per panel. Bound: memory bandwidth for few rows, then L2. Not measured: there was no card.
#pragma once
#include "cuda/common/linear_mma.cuh"

namespace kl::cuda {

// Inputs of tile `tile` for rows first .. first + 7; those from `end` on are read from row end - 1, and what comes of them is not used.
template <Format F, Inputs I>
KL_DEVICE void load_rows(const LinearArgs& a, uint32_t tile, uint32_t first, uint32_t end, RowTile<I>& x) {
  const uint32_t tiles = a.w.tiles, lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
  const auto row = [&](uint32_t t) { return static_cast<uint64_t>(t < end ? t : end - 1) * tiles + tile; };
  if constexpr (I == Inputs::bytes) {
    x.values[0] = load_16(a.q.codes + row(first + g) * 64 + 16 * q);
  } else {
    KL_UNROLL
    for (uint32_t b = 0; b < 2; ++b) x.values[b] = load_16(a.h.values + row(first + g) * 64 + 32 * b + 8 * q);
  }
  const auto of_rows = [&](const float* p) {
    const uint2 one = load_8(p + row(first + 2 * q) * 2), two = load_8(p + row(first + 2 * q + 1) * 2);
    return make_float4(__uint_as_float(one.x), __uint_as_float(one.y), __uint_as_float(two.x), __uint_as_float(two.y));
  };
  if constexpr (I == Inputs::bytes) x.scale = of_rows(a.q.scale);
  if constexpr (Traits<F>::kMinimum) x.sum = of_rows(I == Inputs::bytes ? a.q.sum : a.h.sum);
}

template <Format F, Inputs I>
KL_DEVICE void linear_few(const LinearArgs& a) {
  constexpr uint32_t kGroups = kLinearFewRows / 8, kSums = kLinearFewRows * 16;
  KL_SHARED(float, chains, kChains* kSums);  // [chain][row][output]
  KL_SHARED(float, first,
            kSums);  // of the first of two matrices; not in registers, of which two blocks to a multiprocessor leave none over
  const uint32_t live = live_rows(a.rows), t0 = blockIdx.y * kLinearFewRows, panel = blockIdx.x;
  if (t0 >= live) return;
  const uint32_t end = live - t0 < kLinearFewRows ? live : t0 + kLinearFewRows, thread = threadIdx.x, warp = thread / 32,
                 lane = thread % 32;
  const uint32_t g = lane / 4, q = lane % 4;
  for (uint32_t matrix = 0; matrix < (a.up.data != nullptr ? 2u : 1u); ++matrix) {
    const Matrix& m = matrix == 0 ? a.w : a.up;
    float chain[kGroups][4] = {};
    Tile<F> next;
    if (warp < m.tiles) next.load(m, panel, warp, lane);
    for (uint32_t tile = warp; tile < m.tiles; tile += kChains) {
      const Operand<F> w(next);
      if (tile + kChains < m.tiles) next.load(m, panel, tile + kChains, lane);
      KL_UNROLL
      for (uint32_t group = 0; group < kGroups; ++group) {
        if (t0 + 8 * group >= end) break;
        RowTile<I> x;
        load_rows<F, I>(a, tile, t0 + 8 * group, end, x);
        add_tile<F, I>(w, x, chain[group]);
      }
    }
    if (matrix == 1) __syncthreads();
    KL_UNROLL
    for (uint32_t group = 0; group < kGroups; ++group) {
      if (t0 + 8 * group >= end) break;
      KL_UNROLL
      for (uint32_t i = 0; i < 4; ++i) chains[(warp * kLinearFewRows + 8 * group + 2 * q + i % 2) * 16 + g + 8 * (i / 2)] = chain[group][i];
    }
    __syncthreads();
    const bool more = matrix == 0 && a.up.data != nullptr;
    for (uint32_t at = thread; at < kSums && t0 + at / 16 < end; at += kLinearFewThreads) {  // at = 16 row + output
      float sum = chains[at];
      KL_UNROLL
      for (uint32_t c = 1; c < kChains; ++c) sum = sum + chains[c * kSums + at];
      const uint32_t t = t0 + at / 16, n = panel * 16 + at % 16;
      if (more) {
        first[at] = sum;  // this thread's own again
      } else if (n < a.w.n) {
        finish(a, t, n, matrix == 0 ? sum : first[at], sum);
      }
    }
  }
}

}  // namespace kl::cuda
