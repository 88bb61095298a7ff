// linear for few rows: decode. The order of sums is in common/linear.cuh.
// A block takes a panel of 16 outputs and up to 8 rows; its 8 warps take a chain each, so that a warp's load is 512 neighbouring bytes of codes and the
// block's 4 KB. Lanes with the same g = lane / 4 hold the same two outputs; what they computed of a block is added by shuffles. Chains meet in shared memory.
// Inputs are normed and rounded by the block itself where no launch did it before (common/row_inputs.cuh): 8-bit ones into shared memory, `chunk` tiles at a time; of
// float32 inputs that are normed the block knows the factor, and the lanes multiply.
// Grid      (ceil(N / 16), ceil(rows / 8)); blocks beyond the live rows leave at once.
// Bytes     a step of up to 8 rows reads the weights once, N K b / 8 bytes, whatever its rows: N K b / (8 rows) a token, with b bits a weight as they lie:
//           q4_0, iq4_nl 4.5   q4_k 4.625   mxfp4 4.25   q4_1 5   q5_0 5.5   q5_k 5.625   q5_1 6   q6_k 6.5625   q8_0 8.5   f16, bf16 16   f32 32
//           and beside them 4 K bytes of inputs a row (1.25 K where a launch rounded them) and 4 K of gains, from L2 but for the first block that asks, and 4 N
//           written. Weights by 16 bytes a lane, 512 a warp. Bound: memory bandwidth. Not measured: there was no card.
#pragma once
#include "cuda/common/linear.cuh"
#include "cuda/common/row_inputs.cuh"

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

// One tile's products with 8-bit inputs, added to the chain of each row. in_chunk: the tile's place in shared memory.
template <Format F>
KL_DEVICE void add_tile(const Tile<F>& w, const RowShared& s, uint32_t chunk, uint32_t in_chunk, uint32_t rows,
                        float (&chain)[kLinearRowRows]) {
  using T = Traits<F>;
  const uint32_t q = threadIdx.x % 4, o = q % 2;
  float d[2], least[2];
  KL_UNROLL
  for (uint32_t b = 0; b < 2; ++b) {
    d[b] = w.scale(b, o);
    if constexpr (T::kMinimum) least[b] = w.minimum(b, o);
  }
  KL_UNROLL
  for (uint32_t r = 0; r < kLinearRowRows; ++r) {
    if (r >= rows) break;
    const uint32_t at = r * chunk + in_chunk;
    const uint4 codes = s.codes[at * 4 + q];
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
      if constexpr (T::kMinimum) chain[r] = fma_of(least[b], s.sum[at * 2 + b], chain[r]);
      chain[r] = fma_of(static_cast<float>(dot[b]), d[b] * s.scale[at * 2 + b], chain[r]);
    }
  }
}

// The same with float32 inputs, from memory.
template <Format F>
KL_DEVICE void add_tile(const Tile<F>& w, const RowInputs& in, const RowShared& s, uint32_t tile, uint32_t t0, uint32_t rows,
                        float (&chain)[kLinearRowRows]) {
  const uint32_t q = threadIdx.x % 4;
  float v[2][2][8];
  KL_UNROLL
  for (uint32_t b = 0; b < 2; ++b) {
    w.floats(b, 0, v[b][0]);
    w.floats(b, 1, v[b][1]);
  }
  KL_UNROLL
  for (uint32_t r = 0; r < kLinearRowRows; ++r) {
    if (r >= rows) break;
    float factor = 1.0f;
    if (in.gain != nullptr) factor = s.factor[r];
    float part[2][2];
    KL_UNROLL
    for (uint32_t b = 0; b < 2; ++b) {
      float x[2][4];  // K is a multiple of 4: four inputs are there or not
      KL_UNROLL
      for (uint32_t half = 0; half < 2; ++half) four_inputs(in, t0 + r, tile * 64 + 32 * b + 16 * half + 4 * q, factor, x[half]);
      KL_UNROLL
      for (uint32_t i = 0; i < 2; ++i) {
        float sum = 0.0f;
        KL_UNROLL
        for (uint32_t j = 0; j < 8; ++j) sum = fma_of(v[b][i][j], x[j / 4][j % 4], sum);
        part[b][i] = sum;
      }
    }
    const float own = quad_sum(part, q), other = __shfl_xor_sync(kFullWarp, own, 2);
    chain[r] = (chain[r] + (q / 2 == 0 ? own : other)) + (q / 2 == 0 ? other : own);
  }
}

// Sums of a panel of m over rows t0 .. t0 + rows - 1: thread 16 row + output has its own. `again`: after another panel over the same inputs.
template <Format F, bool kQuantized>
KL_DEVICE float panel_sum(const RowInputs& in, const Matrix& m, uint32_t panel, uint32_t t0, uint32_t rows, bool again,
                          const RowShared& s) {
  const uint32_t thread = threadIdx.x, warp = thread / 32, lane = thread % 32, q = lane % 4;
  float chain[kLinearRowRows];  // of output g + 8 (q % 2)
  KL_UNROLL
  for (uint32_t r = 0; r < kLinearRowRows; ++r) chain[r] = 0.0f;
  if (again) __syncthreads();  // what the panel before left is read
  Tile<F> next;  // 8-bit inputs: loaded one tile ahead, so that a warp has two under way, and the first while inputs are prepared
  if (kQuantized && warp < m.tiles) next.load(m, panel, warp, lane);
  if (in.gain != nullptr && !again) norm_factors(in, t0, rows, s);
  if constexpr (kQuantized) {
    for (uint32_t first = 0; first < m.tiles; first += in.chunk) {
      if (first > 0) __syncthreads();
      if (!again || in.chunk < m.tiles) {
        stage_inputs(in, t0, rows, first, s);
        __syncthreads();
      }
      const uint32_t end = m.tiles - first < in.chunk ? m.tiles : first + in.chunk;
      for (uint32_t tile = first + warp; tile < end; tile += kChains) {
        const Tile<F> w = next;
        if (tile + kChains < m.tiles) next.load(m, panel, tile + kChains, lane);
        add_tile<F>(w, s, in.chunk, tile - first, rows, chain);
      }
    }
  } else {
    for (uint32_t tile = warp; tile < m.tiles; tile += kChains) {
      Tile<F> w;
      w.load(m, panel, tile, lane);
      add_tile<F>(w, in, s, tile, t0, rows, chain);
    }
  }
  if (q < 2) {
    KL_UNROLL
    for (uint32_t r = 0; r < kLinearRowRows; ++r) s.chains[(warp * kLinearRowRows + r) * 16 + lane / 4 + 8 * q] = chain[r];
  }
  __syncthreads();
  if (thread >= kLinearRowRows * 16) return 0.0f;
  float sum = s.chains[thread];
  KL_UNROLL
  for (uint32_t c = 1; c < kChains; ++c) sum = sum + s.chains[c * kLinearRowRows * 16 + thread];
  return sum;
}

template <Format F, bool kQuantized>
KL_DEVICE void linear_row(const LinearRowArgs& a) {
  const uint32_t live = live_rows(a.linear.rows), t0 = blockIdx.y * kLinearRowRows, panel = blockIdx.x;
  if (t0 >= live) return;
  const uint32_t rows = live - t0 < kLinearRowRows ? live - t0 : kLinearRowRows;
  KL_ROW_SHARED(s, rows, a.in.chunk);
  float sums[2] = {0.0f, 0.0f};
  for (uint32_t matrix = 0; matrix < (a.linear.up.data != nullptr ? 2u : 1u); ++matrix)
    sums[matrix] = panel_sum<F, kQuantized>(a.in, matrix == 0 ? a.linear.w : a.linear.up, panel, t0, rows, matrix == 1, s);
  const uint32_t thread = threadIdx.x, n = panel * 16 + thread % 16;
  if (thread < rows * 16 && n < a.linear.w.n) finish(a.linear, t0 + thread / 16, n, sums[0], sums[1]);
}

}  // namespace kl::cuda
