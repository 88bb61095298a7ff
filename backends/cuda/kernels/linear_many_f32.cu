// linear for many rows, float32 inputs, every weight format: prefill and encoders. The order of sums is in common/linear.cuh: the bits of linear_row_f32.
// A block takes 64 outputs x 64 rows, a thread 4 x 4 of them. It walks the tiles of chain 0, of chain 1, ...; of a tile, weights become floats in shared
// memory (warps 2p and 2p + 1 make panel p, a block of 32 each), inputs come by cp.async while the tile before is multiplied. Both lie in rows of 64 floats
// whose 16-byte parts are exchanged by the row's last three bits, so that a quarter-warp's reads of one part of eight rows meet all banks once.
// Grid      (ceil(rows / 64), ceil(N / 64)); blocks beyond the live rows leave at once.
// Bytes     a block and tile: 64 outputs' weights, 16 KB of inputs, for 2^18 products. Bound: float32 arithmetic. Not measured: there was no card.
#include "cuda/common/async.cuh"
#include "cuda/common/linear.cuh"

namespace kl::cuda {

namespace {

constexpr uint32_t kParts = 16, kStageVectors = 64 * kParts;  // 16-byte parts of a row, vectors of a stage

KL_DEVICE uint32_t place(uint32_t row, uint32_t part) { return row * kParts + (part ^ (row % 8)); }

// Rows t0 .. t0 + 63 of tile `tile`; zeros behind K and behind the live rows.
KL_DEVICE void copy_inputs(const LinearArgs& a, SharedPointer<uint4> to, uint32_t tile, uint32_t t0, uint32_t live) {
  KL_UNROLL
  for (uint32_t i = 0; i < kStageVectors / kLinearTileThreads; ++i) {
    const uint32_t at = i * kLinearTileThreads + threadIdx.x, row = at / kParts, part = at % kParts, k = tile * 64 + 4 * part;
    const bool read = t0 + row < live && k < a.w.k;  // K is a multiple of 4
    copy_async_16(to + place(row, part), read ? a.x + static_cast<uint64_t>(t0 + row) * a.w.k + k : a.x, read);
  }
}

// A lane's weights of one block of 32 of a panel, as floats: outputs in rows, K in parts.
template <Format F>
KL_DEVICE void write_weights(const Tile<F>& w, SharedPointer<uint4> to, uint32_t panel, uint32_t b) {
  const uint32_t lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
  KL_UNROLL
  for (uint32_t o = 0; o < 2; ++o) {
    float v[8];
    w.floats(b, o, v);
    KL_UNROLL
    for (uint32_t half = 0; half < 2; ++half) {
      to[place(16 * panel + g + 8 * o, 8 * b + 4 * half + q)] =
          make_uint4(__float_as_uint(v[4 * half]), __float_as_uint(v[4 * half + 1]), __float_as_uint(v[4 * half + 2]),
                     __float_as_uint(v[4 * half + 3]));
    }
  }
}

KL_DEVICE void multiply_part(const uint4 (&w)[4], const uint4 (&x)[4], float (&sum)[4][4]) {
  KL_UNROLL
  for (uint32_t i = 0; i < 4; ++i) {
    KL_UNROLL
    for (uint32_t j = 0; j < 4; ++j) {
      float s = sum[i][j];
      s = fma_of(__uint_as_float(w[i].x), __uint_as_float(x[j].x), s);
      s = fma_of(__uint_as_float(w[i].y), __uint_as_float(x[j].y), s);
      s = fma_of(__uint_as_float(w[i].z), __uint_as_float(x[j].z), s);
      sum[i][j] = fma_of(__uint_as_float(w[i].w), __uint_as_float(x[j].w), s);
    }
  }
}

// chain += block b of the tile: (p0 + p1) + (p2 + p3) for this thread's outputs o + 16 i and rows r + 16 j.
KL_DEVICE void add_block(SharedPointer<uint4> weights, SharedPointer<uint4> inputs, uint32_t b, uint32_t o, uint32_t r,
                         float (&chain)[4][4]) {
  float pair[4][4] = {};
  KL_UNROLL
  for (uint32_t two = 0; two < 2; ++two) {
    float p[2][4][4] = {};
    KL_UNROLL
    for (uint32_t one = 0; one < 2; ++one) {
      KL_UNROLL
      for (uint32_t half = 0; half < 2; ++half) {
        const uint32_t part = 8 * b + 4 * half + 2 * two + one;
        uint4 w[4], x[4];
        KL_UNROLL
        for (uint32_t i = 0; i < 4; ++i) {
          w[i] = weights[place(o + 16 * i, part)];
          x[i] = inputs[place(r + 16 * i, part)];
        }
        multiply_part(w, x, p[one]);
      }
    }
    KL_UNROLL
    for (uint32_t i = 0; i < 4; ++i) {
      KL_UNROLL
      for (uint32_t j = 0; j < 4; ++j) {
        const float sum = p[0][i][j] + p[1][i][j];
        if (two == 0) {
          pair[i][j] = sum;
        } else {
          chain[i][j] = chain[i][j] + (pair[i][j] + sum);
        }
      }
    }
  }
}

// sums: of this thread's outputs and rows.
template <Format F>
KL_DEVICE void multiply(const LinearArgs& a, const Matrix& m, SharedPointer<uint4> weights, SharedPointer<uint4> inputs, uint32_t t0,
                        uint32_t live, float (&sums)[4][4]) {
  const uint32_t thread = threadIdx.x, lane = thread % 32, own = thread / 64, b = thread / 32 % 2, o = thread / 16, r = thread % 16,
                 tiles = m.tiles;
  const uint32_t panels = (m.n + 15) / 16, wanted = blockIdx.y * (kLinearTileOutputs / 16) + own,
                 panel = wanted < panels ? wanted : panels - 1;
  float chain[4][4] = {};
  const auto after = [&](uint32_t tile) { return tile + kChains < tiles ? tile + kChains : tile % kChains + 1; };
  copy_inputs(a, inputs, 0, t0, live);
  copy_async_commit();
  Tile<F> next;
  next.load(m, panel, 0, lane);
  uint32_t tile = 0;
  for (uint32_t step = 0; step < tiles; ++step) {
    const uint32_t following = after(tile), stage = step % 2 * kStageVectors;
    __syncthreads();  // the tile before is used up
    if (b == 0) {     // a constant index in each branch: numbers in registers have no address
      write_weights(next, weights, own, 0);
    } else {
      write_weights(next, weights, own, 1);
    }
    if (step + 1 < tiles) {
      copy_inputs(a, inputs + (kStageVectors - stage), following, t0, live);
      next.load(m, panel, following, lane);
    }
    copy_async_commit();
    copy_async_wait<1>();
    __syncthreads();
    add_block(weights, inputs + stage, 0, o, r, chain);
    add_block(weights, inputs + stage, 1, o, r, chain);
    if (tile + kChains >= tiles) {  // the chain is complete
      KL_UNROLL
      for (uint32_t i = 0; i < 4; ++i) {
        KL_UNROLL
        for (uint32_t j = 0; j < 4; ++j) {
          sums[i][j] = tile % kChains == 0 ? chain[i][j] : sums[i][j] + chain[i][j];
          chain[i][j] = 0.0f;
        }
      }
    }
    tile = following;
  }
  copy_async_wait<0>();
  if (tiles >= kChains) return;
  KL_UNROLL
  for (uint32_t i = 0; i < 4; ++i) {  // chains without a tile
    KL_UNROLL
    for (uint32_t j = 0; j < 4; ++j) sums[i][j] = sums[i][j] + 0.0f;
  }
}

template <Format F>
KL_DEVICE void linear_many_f32(const LinearArgs& a) {
  KL_SHARED(uint4, weights, kStageVectors);
  KL_SHARED(uint4, inputs, 2 * kStageVectors);
  const uint32_t live = live_rows(a.rows), t0 = blockIdx.x * kLinearTileRows;
  if (t0 >= live) return;
  float sums[2][4][4] = {};
  multiply<F>(a, a.w, weights, inputs, t0, live, sums[0]);
  if (a.up.data != nullptr) {
    __syncthreads();
    multiply<F>(a, a.up, weights, inputs, t0, live, sums[1]);
  }
  const uint32_t o = threadIdx.x / 16, r = threadIdx.x % 16;
  KL_UNROLL
  for (uint32_t i = 0; i < 4; ++i) {
    KL_UNROLL
    for (uint32_t j = 0; j < 4; ++j) {
      const uint32_t n = blockIdx.y * kLinearTileOutputs + o + 16 * i, t = t0 + r + 16 * j;
      if (n < a.w.n && t < live) finish(a, t, n, sums[0][i][j], sums[1][i][j]);
    }
  }
}

}  // namespace

#define KL_FORMAT(F) \
  KL_KERNEL(linear_many_f32__##F, LinearArgs, kLinearTileThreads) { linear_many_f32<Format::F>(a); }
KL_WEIGHT_FORMATS(KL_FORMAT)
#undef KL_FORMAT

}  // namespace kl::cuda
