// The inputs of a block of up to 8 rows that are rounded to 8 bits, in shared memory, and the factors of rows that are normed. A block norms and rounds its rows itself:
// the bits are those of norm.cu and quantize.cu (the same sums in the same order, the same function for four values), so that it is one launch less and nothing else. Every
// block of the grid does it again, from L2, 4 K bytes a row and 4 K of gains; the first weights are under way meanwhile.
#pragma once
#include "cuda/common/norm.cuh"
#include "cuda/common/quantize.cuh"
#include "cuda/kernels/linear_row.h"

namespace kl::cuda {

static_assert(kLinearRowThreads == kNormThreads && kNormWarps >= kLinearRowRows,
              "a block sums as norm.cu does, and then a warp takes a row");

struct RowShared {
  SharedPointer<uint4> codes;       // [rows][chunk][4], as Quantized::codes
  SharedPointer<float> scale, sum;  // [rows][2 chunk]
  SharedPointer<float> meet;        // [8 warps][8 rows]
  SharedPointer<float> factor;      // [8] of a normed row
  SharedPointer<float> chains;      // [8 chains][8 rows][16]
};
// ROWS: live ones of the block; CHUNK: RowInputs::chunk. The dynamic memory is row_chunk_bytes() or more.
#define KL_ROW_SHARED(NAME, ROWS, CHUNK)                                                          \
  KL_DYNAMIC_SHARED(uint4, NAME##_codes);                                                         \
  KL_SHARED(float, NAME##_meet, kNormWarps* kLinearRowRows);                                      \
  KL_SHARED(float, NAME##_factor, kLinearRowRows);                                                \
  KL_SHARED(float, NAME##_chains, kLinearChains* kLinearRowRows * 16);                            \
  const SharedPointer<float> NAME##_groups = shared_as<float>(NAME##_codes + (ROWS) * (CHUNK)*4); \
  const RowShared NAME = {NAME##_codes, NAME##_groups, NAME##_groups + (ROWS) * (CHUNK)*2, NAME##_meet, NAME##_factor, NAME##_chains}

// factor[r] of rows t0 .. t0 + rows - 1.
KL_DEVICE void norm_factors(const RowInputs& in, uint32_t t0, uint32_t rows, const RowShared& s) {
  const uint32_t thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
  KL_UNROLL
  for (uint32_t r = 0; r < kLinearRowRows; ++r) {
    if (r >= rows) break;
    const float* x = in.x + static_cast<uint64_t>(t0 + r) * in.k;
    float squares = 0.0f;
    for (uint32_t i = thread; i < in.k; i += kNormThreads) squares = fma_of(x[i], x[i], squares);
    squares = warp_sum(squares);
    if (lane == 0) s.meet[warp * kLinearRowRows + r] = squares;
  }
  __syncthreads();
  if (warp < rows) {
    const float squares = sum_of_warps(s.meet + warp, kLinearRowRows);
    if (lane == 0) s.factor[warp] = rms_factor(squares, in.k, in.eps);
  }
  __syncthreads();
}

// Four inputs of row t from k on, normed by `factor` where there is a gain; zeros behind K.
KL_DEVICE void four_inputs(const RowInputs& in, uint32_t t, uint32_t k, float factor, float (&v)[4]) {
  uint4 bits = make_uint4(0, 0, 0, 0);
  if (k < in.k) bits = load_16(in.x + static_cast<uint64_t>(t) * in.k + k);
  v[0] = __uint_as_float(bits.x), v[1] = __uint_as_float(bits.y), v[2] = __uint_as_float(bits.z), v[3] = __uint_as_float(bits.w);
  if (in.gain == nullptr || k >= in.k) return;
  const uint4 gain = load_16(in.gain + k);
  v[0] = v[0] * factor * __uint_as_float(gain.x);
  v[1] = v[1] * factor * __uint_as_float(gain.y);
  v[2] = v[2] * factor * __uint_as_float(gain.z);
  v[3] = v[3] * factor * __uint_as_float(gain.w);
}

// Tiles [first, first + chunk) of K to shared memory. Barriers are the caller's.
KL_DEVICE void stage_inputs(const RowInputs& in, uint32_t t0, uint32_t rows, uint32_t first, const RowShared& s) {
  const uint32_t thread = threadIdx.x, count = in.tiles - first < in.chunk ? in.tiles - first : in.chunk;
  for (uint32_t r = 0; r < rows; ++r) {
    if (in.q.codes != nullptr) {
      const uint64_t from = static_cast<uint64_t>(t0 + r) * in.tiles + first;
      for (uint32_t i = thread; i < count * 4; i += kLinearRowThreads)
        s.codes[r * in.chunk * 4 + i] = load_16(in.q.codes + from * 64 + 16 * i);
      for (uint32_t i = thread; i < count * 2; i += kLinearRowThreads) {
        s.scale[r * in.chunk * 2 + i] = in.q.scale[from * 2 + i];
        s.sum[r * in.chunk * 2 + i] = in.q.sum[from * 2 + i];
      }
      continue;
    }
    const SharedPointer<uint32_t> words = shared_as<uint32_t>(s.codes) + r * in.chunk * 16;
    float factor = 1.0f;
    if (in.gain != nullptr) factor = s.factor[r];
    for (uint32_t begin = 0; begin < count * 16; begin += kLinearRowThreads) {  // whole warps go round
      const uint32_t at = begin + thread;
      float v[4];
      four_inputs(in, t0 + r, at < count * 16 ? 64 * first + 4 * at : in.k, factor, v);
      const RoundedFour four = round_four(v);
      if (at >= count * 16) continue;
      words[word_of_four(at)] = four.codes;
      if (at % 8 != 0) continue;
      s.scale[r * in.chunk * 2 + at / 8] = four.scale;
      s.sum[r * in.chunk * 2 + at / 8] = four.sum;
    }
  }
}

}  // namespace kl::cuda
