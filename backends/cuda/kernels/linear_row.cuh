// linear for up to 8 rows: decode. The order of sums is in common/linear.cuh. Three ways to multiply, all with the same bits for a row:
//   dots     8-bit inputs, dp4a (linear_row_q8)
//   tensor   8-bit inputs, mma.sync over the 8 rows at once (linear_eight_q8)
//   floats   float32 inputs, fma (linear_row_f32)
// A panel of 16 outputs has 8 warps, which take a chain each, so that a warp's load is 512 neighbouring bytes of codes and the panel's 4 KB. Lanes with the same
// g = lane / 4 hold the same two outputs; dots, floats: what they computed of a block is added by shuffles. Chains meet in shared memory.
// Inputs are normed and rounded by the block itself where no launch did it before (common/row_inputs.cuh): 8-bit ones into shared memory, `chunk` tiles at a time; of
// float32 inputs that are normed the block knows the factor, and the lanes multiply.
// linear_norm_add: the last block to be done (common/arrive.cuh) norms the products, which lie in y, and adds the residual.
// Grid      (ceil(N / 16 / panels of a block), ceil(rows / 8)); blocks beyond the live rows leave at once.
// Bytes     a step of up to 8 rows reads the weights once, N K b / 8 bytes, whatever its rows: N K b / (8 rows) a token, with b bits a weight as they lie:
//           q4_0, iq4_nl 4.5   q4_k 4.625   mxfp4 4.25   q4_1 5   q5_0 5.5   q5_k 5.625   q5_1 6   q6_k 6.5625   q8_0 8.5   f16, bf16 16   f32 32
//           and beside them, in each block, 4 K bytes of inputs a row (1.25 K where a launch rounded them) and 4 K of gains, from L2 but for the first block that asks, and
//           4 N written. Weights by 16 bytes a lane, 512 a warp. Bound: memory bandwidth. Not measured: there was no card.
#pragma once
#include "cuda/common/arrive.cuh"
#include "cuda/common/linear_mma.cuh"
#include "cuda/common/row_inputs.cuh"

namespace kl::cuda {

enum class RowMath { dots, tensor, floats };

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

// A lane's chains of a panel: dots and floats have output g + 8 (q % 2) of each row, tensor outputs g and g + 8 of rows 2q and 2q + 1 (linear_mma.cuh).
template <RowMath M>
struct Chains {
  static constexpr uint32_t kCount = M == RowMath::tensor ? 4 : kLinearRowRows;
  float of[kCount];

  KL_DEVICE void clear() {
    KL_UNROLL
    for (uint32_t i = 0; i < kCount; ++i) of[i] = 0.0f;
  }
  // To where the panel's chains meet: [chain][row][output].
  KL_DEVICE void leave(const SharedPointer<float>& meet, uint32_t warp, uint32_t lane) const {
    const uint32_t g = lane / 4, q = lane % 4;
    const auto place = [&](uint32_t row, uint32_t output) { return (warp * kLinearRowRows + row) * 16 + output; };
    if constexpr (M == RowMath::tensor) {
      KL_UNROLL
      for (uint32_t i = 0; i < 4; ++i) meet[place(2 * q + i % 2, g + 8 * (i / 2))] = of[i];
    } else {
      if (q >= 2) return;
      KL_UNROLL
      for (uint32_t r = 0; r < kLinearRowRows; ++r) meet[place(r, g + 8 * q)] = of[r];
    }
  }
};

// One tile's products with 8-bit inputs, added to the chain of each row. in_chunk: the tile's place in shared memory.
template <Format F>
KL_DEVICE void add_tile(const Tile<F>& w, const RowShared& s, uint32_t in_chunk, const RowInputs& in, uint32_t rows,
                        Chains<RowMath::dots>& chain) {
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
    const uint32_t at = in_chunk * in.rows + r;
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
      if constexpr (T::kMinimum) chain.of[r] = fma_of(least[b], s.sum[at * 2 + b], chain.of[r]);
      chain.of[r] = fma_of(static_cast<float>(dot[b]), d[b] * s.scale[at * 2 + b], chain.of[r]);
    }
  }
}

// The same on tensor cores. in.rows is 8: what the lanes read of a tile is 512 neighbouring bytes of codes, and four scales are 16.
template <Format F>
KL_DEVICE void add_tile(const Tile<F>& w, const RowShared& s, uint32_t in_chunk, const RowInputs&, uint32_t,
                        Chains<RowMath::tensor>& chain) {
  const uint32_t lane = threadIdx.x % 32, q = lane % 4;
  RowTile<Inputs::bytes> x;
  x.values[0] = s.codes[in_chunk * 32 + lane];
  x.scale = shared_as<float4>(s.scale)[in_chunk * 4 + q];
  if constexpr (Traits<F>::kMinimum) x.sum = shared_as<float4>(s.sum)[in_chunk * 4 + q];
  add_tile<F, Inputs::bytes>(Operand<F>(w), x, chain.of);
}

// The same with float32 inputs, from memory.
template <Format F>
KL_DEVICE void add_tile(const Tile<F>& w, const RowInputs& in, const RowShared& s, uint32_t tile, uint32_t t0, uint32_t rows,
                        Chains<RowMath::floats>& chain) {
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
    chain.of[r] = (chain.of[r] + (q / 2 == 0 ? own : other)) + (q / 2 == 0 ? other : own);
  }
}

// Sums of a panel of m over the block's rows, from t0 on: thread 16 row + output of the panel's 256 has its own. `again`: after another panel over the same inputs.
// A block's last panel may not be there: its threads prepare inputs like all others.
template <Format F, RowMath M>
KL_DEVICE float panel_sum(const RowInputs& in, const Matrix& m, uint32_t panel, const RowCount& count, uint32_t t0, bool again,
                          const RowShared& s) {
  const uint32_t thread = threadIdx.x % kLinearRowThreads, warp = thread / 32, lane = thread % 32;
  const uint32_t tiles = panel * 16 < m.n ? m.tiles : 0;
  Chains<M> chain;
  chain.clear();
  Tile<F>
      next;  // 8-bit inputs: loaded one tile ahead, so that a warp has two under way, and the first while launches before end and inputs are prepared
  if (M != RowMath::floats && warp < tiles) next.load(m, panel, warp, lane);
  if (!again) wait_for_launches_before();
  const uint32_t rows = rows_of_block(count, t0);
  if (rows == 0) return 0.0f;
  if (again) __syncthreads();  // what the panel before left is read
  if (in.gain != nullptr && !again) norm_factors(in.x + static_cast<uint64_t>(t0) * in.k, in.k, rows, in.eps, s);
  if constexpr (M != RowMath::floats) {
    if (M == RowMath::tensor && !again && rows < in.rows) stage_zeros(in, rows, s);
    for (uint32_t first = 0; first < m.tiles; first += in.chunk) {
      if (first > 0) __syncthreads();
      if (!again || in.chunk < m.tiles) {
        stage_inputs(in, t0, rows, first, s);
        __syncthreads();
      }
      const uint32_t end = tiles < first + in.chunk ? tiles : first + in.chunk;
      KL_LOOP  // two tiles are under way as it is
          for (uint32_t tile = first + warp; tile < end; tile += kChains) {
        const Tile<F> w = next;
        if (tile + kChains < tiles) next.load(m, panel, tile + kChains, lane);
        add_tile<F>(w, s, tile - first, in, rows, chain);
      }
    }
  } else {
    for (uint32_t tile = warp; tile < tiles; tile += kChains) {
      Tile<F> w;
      w.load(m, panel, tile, lane);
      add_tile<F>(w, in, s, tile, t0, rows, chain);
    }
  }
  const SharedPointer<float> meet = s.chains + threadIdx.x / kLinearRowThreads * kRowChainFloats;
  chain.leave(meet, warp, lane);
  __syncthreads();
  if (thread >= kLinearRowRows * 16) return 0.0f;
  float sum = meet[thread];
  KL_UNROLL
  for (uint32_t c = 1; c < kChains; ++c) sum = sum + meet[c * kLinearRowRows * 16 + thread];
  return sum;
}

// y = residual + norm(y) of a launch's rows in its last block: the bits of norm.cu. One block reads and writes them, so it is for a few rows.
KL_DEVICE void norm_rows(const LinearArgs& a, const RowNorm& after, uint32_t rows, const RowShared& s) {
  const uint32_t fours = a.w.n / 4;
  norm_factors(a.y, a.w.n, rows, after.eps, s);
  KL_LOOP
  for (uint32_t first = threadIdx.x; first < rows * fours; first += 2 * blockDim.x) {
    float y[2][4], residual[2][4], gain[2][4];
    KL_UNROLL
    for (uint32_t j = 0; j < 2; ++j) {
      const uint32_t at = first + j * blockDim.x;
      if (at >= rows * fours) break;
      four_floats(load_16(a.y + 4 * static_cast<uint64_t>(at)), y[j]);
      four_floats(load_16(after.residual + 4 * static_cast<uint64_t>(at)), residual[j]);
      four_floats(load_16(after.gain + 4 * (at % fours)), gain[j]);
    }
    KL_UNROLL
    for (uint32_t j = 0; j < 2; ++j) {
      const uint32_t at = first + j * blockDim.x;
      if (at >= rows * fours) break;
      const float factor = s.factor[at / fours];
      KL_UNROLL
      for (uint32_t i = 0; i < 4; ++i) y[j][i] = residual[j][i] + y[j][i] * factor * gain[j][i];
      *reinterpret_cast<float4*>(a.y + 4 * static_cast<uint64_t>(at)) = make_float4(y[j][0], y[j][1], y[j][2], y[j][3]);
    }
  }
}

template <Format F, RowMath M>
KL_DEVICE void linear_row(const LinearRowArgs& a) {
  const uint32_t t0 = blockIdx.y * kLinearRowRows, thread = threadIdx.x % kLinearRowThreads,
                 panel = blockIdx.x * (blockDim.x / kLinearRowThreads) + threadIdx.x / kLinearRowThreads;
  KL_ROW_SHARED(s, a.in);
  KL_SHARED(uint32_t, last, 1);
  float sums[2] = {0.0f, 0.0f};
  for (uint32_t matrix = 0; matrix < (a.linear.up.data != nullptr ? 2u : 1u); ++matrix)
    sums[matrix] = panel_sum<F, M>(a.in, matrix == 0 ? a.linear.w : a.linear.up, panel, a.linear.rows, t0, matrix == 1, s);
  const uint32_t rows = rows_of_block(a.linear.rows, t0), n = panel * 16 + thread % 16;
  if (thread < rows * 16 && n < a.linear.w.n) finish(a.linear, t0 + thread / 16, n, sums[0], sums[1]);
  if (a.after.gain == nullptr || rows == 0) return;
  if (last_to_arrive(a.after.counter, gridDim.x, last)) norm_rows(a.linear, a.after, rows, s);
}

}  // namespace kl::cuda
