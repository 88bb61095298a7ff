// linear for many rows on tensor cores: prefill. The order of sums is in common/linear.cuh and linear_mma.cuh.
// A block takes 128 outputs x 128 rows; of its 8 warps each takes two panels of 16 outputs x 64 rows (with a second matrix: one panel of each, so that the
// block makes 64 outputs). It walks the tiles of chain 0, of chain 1, ...: accumulators of the chain and of the row's sum so far, 64 registers each.
// Inputs come by cp.async, stages ahead, so that a quarter-warp's 16-byte reads meet all banks once: bytes lie two rows to 128 bytes; halves one, odd rows
// with their two 64-byte parts exchanged. Weights go from memory to registers, one tile ahead: they lie there in the order of the fragments, and two warps
// share them in L1.
// Grid      (ceil(rows / 128), ceil(N / 128)): rows first, so that neighbouring blocks share weights. Blocks beyond the live rows leave at once.
// Bytes     a block and tile: weights of 128 outputs, 8 KB of codes (halves 16 KB) and 1 to 2 KB of scales and sums, for 2^20 products. Bound: with 8-bit
//           inputs three float operations per block of 32 and output (four with minima) outweigh the integer product. Not measured: there was no card.
#pragma once
#include "cuda/common/async.cuh"
#include "cuda/common/linear_mma.cuh"

namespace kl::cuda {

// Input tiles under way.
template <Inputs I>
struct InputStages {
  static constexpr uint32_t kStages = I == Inputs::bytes ? 4 : 2, kVectors = RowTile<I>::kVectors * 4;  // 16-byte vectors of a row
  SharedPointer<uint4> values;                                                                          // [stage][row][vector]
  SharedPointer<float4> scale, sum;  // [stage][row / 2]: row 2i: blocks 0, 1; row 2i + 1: blocks 0, 1

  // Vector `vector` of row r of the block.
  KL_DEVICE static uint32_t place(uint32_t stage, uint32_t r, uint32_t vector) {
    return (stage * kLinearManyRows + r) * kVectors + (I == Inputs::bytes ? vector : (vector ^ (r % 2 * 4)));
  }

  template <bool kSums>
  KL_DEVICE void copy(const LinearArgs& a, uint32_t stage, uint32_t tile, uint32_t t0, uint32_t live) const {
    const auto* from = static_cast<const unsigned char*>(I == Inputs::bytes ? static_cast<const void*>(a.q.codes) : a.h.values);
    KL_UNROLL
    for (uint32_t i = 0; i < kLinearManyRows * kVectors / kLinearManyThreads; ++i) {
      const uint32_t at = i * kLinearManyThreads + threadIdx.x, r = at / kVectors, vector = at % kVectors, t = t0 + r;
      const bool read = t < live;
      copy_async_16(values + place(stage, r, vector),
                    from + ((static_cast<uint64_t>(read ? t : t0) * a.w.tiles + tile) * kVectors + vector) * 16, read);
    }
    const uint32_t r = threadIdx.x % kLinearManyRows, t = t0 + r;
    const bool read = t < live;
    const uint64_t block = (static_cast<uint64_t>(read ? t : t0) * a.w.tiles + tile) * 2;
    const uint32_t to = stage * kLinearManyRows + r;
    if (threadIdx.x < kLinearManyRows) {
      if constexpr (I == Inputs::bytes) copy_async_8(shared_as<float2>(scale) + to, a.q.scale + block, read);
    } else {
      if constexpr (kSums) copy_async_8(shared_as<float2>(sum) + to, (I == Inputs::bytes ? a.q.sum : a.h.sum) + block, read);
    }
  }

  // Rows 8 group .. 8 group + 7 of the block.
  template <bool kSums>
  KL_DEVICE void load(uint32_t stage, uint32_t group, RowTile<I>& x) const {
    const uint32_t lane = threadIdx.x % 32, q = lane % 4, r = 8 * group + lane / 4;
    KL_UNROLL
    for (uint32_t v = 0; v < RowTile<I>::kVectors; ++v) x.values[v] = values[place(stage, r, 4 * v + q)];
    const uint32_t pair = stage * (kLinearManyRows / 2) + 4 * group + q;
    if constexpr (I == Inputs::bytes) x.scale = scale[pair];
    if constexpr (kSums) x.sum = sum[pair];
  }
};

template <Format F, Inputs I>
KL_DEVICE void linear_many(const LinearArgs& a) {
  using S = InputStages<I>;
  constexpr uint32_t kGroups = 8;  // of 8 rows a warp
  constexpr bool kSums = Traits<F>::kMinimum;
  KL_SHARED(uint4, values, S::kStages * kLinearManyRows * S::kVectors);
  KL_SHARED(float4, scales, I == Inputs::bytes ? S::kStages * kLinearManyRows / 2 : 1);
  KL_SHARED(float4, block_sums, kSums ? S::kStages * kLinearManyRows / 2 : 1);
  const uint32_t live = live_rows(a.rows), t0 = blockIdx.x * kLinearManyRows, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  if (t0 >= live) return;
  const S stages{values, scales, block_sums};
  // The warp's two panels: neighbours, or the same one of both matrices. Panels behind N: the last one, not stored.
  const bool pair = a.up.data != nullptr;
  const uint32_t panels = (a.w.n + 15) / 16, first = blockIdx.y * (pair ? 4 : 8) + warp / 2 * (pair ? 1 : 2),
                 second = pair ? first : first + 1;
  const uint32_t panel[2] = {first < panels ? first : panels - 1, second < panels ? second : panels - 1};
  const uint32_t group0 = warp % 2 * kGroups, row0 = t0 + 8 * group0, tiles = a.w.tiles;
  const uint32_t groups = row0 < live ? (live - row0 + 7) / 8 : 0;
  const Matrix& other = pair ? a.up : a.w;
  float chain[kGroups][2][4] = {}, sums[kGroups][2][4] = {};

  // The walk: tiles of chain 0, then of chain 1, ...
  const auto after = [&](uint32_t tile) { return tile + kChains < tiles ? tile + kChains : tile % kChains + 1; };
  uint32_t ahead = 0;
  KL_UNROLL
  for (uint32_t s = 0; s + 1 < S::kStages; ++s) {
    if (s < tiles) {
      stages.template copy<kSums>(a, s, ahead, t0, live);
      ahead = after(ahead);
    }
    copy_async_commit();
  }
  Tile<F> next[2];
  next[0].load(a.w, panel[0], 0, lane);
  next[1].load(other, panel[1], 0, lane);
  uint32_t step = 0;
  for (uint32_t first_tile = 0; first_tile < kChains && first_tile < tiles; ++first_tile) {  // a chain
    for (uint32_t tile = first_tile; tile < tiles; tile += kChains, ++step) {
      copy_async_wait<S::kStages - 2>();
      __syncthreads();  // step's inputs are there for all, and those of the step before are used up
      if (step + S::kStages - 1 < tiles) {
        stages.template copy<kSums>(a, (step + S::kStages - 1) % S::kStages, ahead, t0, live);
        ahead = after(ahead);
      }
      copy_async_commit();
      const Operand<F> w0(next[0]), w1(next[1]);
      if (step + 1 < tiles) {
        const uint32_t following = after(tile);
        next[0].load(a.w, panel[0], following, lane);
        next[1].load(other, panel[1], following, lane);
      }
      KL_UNROLL
      for (uint32_t group = 0; group < kGroups; ++group) {
        if (group >= groups) break;
        RowTile<I> x;
        stages.template load<kSums>(step % S::kStages, group0 + group, x);
        add_tile<F, I>(w0, x, chain[group][0]);
        add_tile<F, I>(w1, x, chain[group][1]);
      }
    }
    KL_UNROLL
    for (uint32_t group = 0; group < kGroups; ++group) {
      KL_UNROLL
      for (uint32_t p = 0; p < 2; ++p) {
        KL_UNROLL
        for (uint32_t i = 0; i < 4; ++i) {
          sums[group][p][i] = first_tile == 0 ? chain[group][p][i] : sums[group][p][i] + chain[group][p][i];
          chain[group][p][i] = 0.0f;
        }
      }
    }
  }
  copy_async_wait<0>();
  KL_UNROLL
  for (uint32_t group = 0; group < kGroups; ++group) {
    KL_UNROLL
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t t = row0 + 8 * group + lane % 4 * 2 + i % 2, in_panel = lane / 4 + 8 * (i / 2);
      float sum[2] = {sums[group][0][i], sums[group][1][i]};
      if (tiles < kChains) {  // chains without a tile
        sum[0] = sum[0] + 0.0f;
        sum[1] = sum[1] + 0.0f;
      }
      if (t >= live) continue;
      if (first * 16 + in_panel < a.w.n) finish(a, t, first * 16 + in_panel, sum[0], sum[1]);
      if (!pair && second * 16 + in_panel < a.w.n) finish(a, t, second * 16 + in_panel, sum[1], 0.0f);
    }
  }
}

}  // namespace kl::cuda
