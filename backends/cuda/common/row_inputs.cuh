// The inputs of a block of up to 8 rows that are rounded to 8 bits, in shared memory, and the factors of rows that are normed. A block norms and rounds its rows itself:
// the bits are those of norm.cu and quantize.cu (the same sums in the same order, the same function for four values), so that it is one launch less and nothing else. Every
// block of the grid does it again, from L2, 4 K bytes a row and 4 K of gains; the first weights are under way meanwhile.
// A block is one or more panels side by side, 256 threads each: they share the inputs, so that wide blocks prepare them less often.
#pragma once
#include "cuda/common/norm.cuh"
#include "cuda/common/quantize.cuh"
#include "cuda/kernels/linear_row.h"

namespace kl::cuda {

static_assert(kLinearRowThreads == kNormThreads && kNormWarps >= kLinearRowRows,
              "a panel's threads sum as norm.cu does, and then a warp takes a row");

struct RowShared {
  SharedPointer<float> chains;      // [panels][8 chains][8 rows][16]
  SharedPointer<uint4> codes;       // [chunk][rows][4], the four as Quantized::codes
  SharedPointer<float> scale, sum;  // [chunk][rows][2]
  SharedPointer<float> meet;        // [8 warps][8 rows]
  SharedPointer<float> factor;      // [8] of a normed row
};
// IN: RowInputs. The dynamic memory is row_chains_bytes() + row_chunk_bytes() or more.
#define KL_ROW_SHARED(NAME, IN)                                                                                                 \
  KL_DYNAMIC_SHARED(float, NAME##_chains);                                                                                      \
  KL_SHARED(float, NAME##_meet, kNormWarps* kLinearRowRows);                                                                    \
  KL_SHARED(float, NAME##_factor, kLinearRowRows);                                                                              \
  const SharedPointer<uint4> NAME##_codes = shared_as<uint4>(NAME##_chains + blockDim.x / kLinearRowThreads * kRowChainFloats); \
  const SharedPointer<float> NAME##_groups = shared_as<float>(NAME##_codes + (IN).rows * (IN).chunk * 4);                       \
  const RowShared NAME = {NAME##_chains, NAME##_codes, NAME##_groups, NAME##_groups + (IN).rows * (IN).chunk * 2,               \
                          NAME##_meet,   NAME##_factor}

// Live rows of those of the block that begins with t0.
KL_DEVICE uint32_t rows_of_block(const RowCount& rows, uint32_t t0) {
  const uint32_t live = live_rows(rows);
  return live <= t0 ? 0 : live - t0 < kLinearRowRows ? live - t0 : kLinearRowRows;
}

// factor[r] of `rows` rows of `width` from x on. 256 threads take a row, as norm.cu has it; where there are more, they share the rows.
KL_DEVICE void norm_factors(const float* x, uint32_t width, uint32_t rows, float eps, const RowShared& s) {
  const uint32_t thread = threadIdx.x % kNormThreads, warp = thread / 32, lane = thread % 32, groups = blockDim.x / kNormThreads,
                 group = threadIdx.x / kNormThreads;
  constexpr uint32_t kAtOnce = 2, kDeep = 4;  // rows, and numbers of each, whose loads a thread has under way
  const uint64_t stride = width;
  KL_LOOP
  for (uint32_t first = group; first < rows; first += kAtOnce * groups) {
    float squares[kAtOnce] = {};
    KL_LOOP
    for (uint32_t i = thread; i < width; i += kDeep * kNormThreads) {
      float v[kAtOnce][kDeep];  // zeros behind the end add nothing, to the bit
      KL_UNROLL
      for (uint32_t j = 0; j < kAtOnce; ++j) {
        KL_UNROLL
        for (uint32_t d = 0; d < kDeep; ++d) {
          v[j][d] = 0.0f;
          if (first + j * groups < rows && i + d * kNormThreads < width) v[j][d] = x[(first + j * groups) * stride + i + d * kNormThreads];
        }
      }
      KL_UNROLL
      for (uint32_t j = 0; j < kAtOnce; ++j) {
        KL_UNROLL
        for (uint32_t d = 0; d < kDeep; ++d) squares[j] = fma_of(v[j][d], v[j][d], squares[j]);
      }
    }
    KL_UNROLL
    for (uint32_t j = 0; j < kAtOnce; ++j) {
      if (first + j * groups >= rows) break;
      const float sum = warp_sum(squares[j]);
      if (lane == 0) s.meet[warp * kLinearRowRows + first + j * groups] = sum;
    }
  }
  __syncthreads();
  if (threadIdx.x / 32 < rows) {
    const float sum = sum_of_warps(s.meet + threadIdx.x / 32, kLinearRowRows);
    if (lane == 0) s.factor[threadIdx.x / 32] = rms_factor(sum, width, eps);
  }
  __syncthreads();
}

KL_DEVICE void four_floats(const uint4& bits, float (&v)[4]) {
  v[0] = __uint_as_float(bits.x), v[1] = __uint_as_float(bits.y), v[2] = __uint_as_float(bits.z), v[3] = __uint_as_float(bits.w);
}

// Four inputs of row t from k on, normed by `factor` where there is a gain; zeros behind K.
KL_DEVICE void four_inputs(const RowInputs& in, uint32_t t, uint32_t k, float factor, float (&v)[4]) {
  uint4 bits = make_uint4(0, 0, 0, 0);
  if (k < in.k) bits = load_16(in.x + static_cast<uint64_t>(t) * in.k + k);
  four_floats(bits, v);
  if (in.gain == nullptr || k >= in.k) return;
  float gain[4];
  four_floats(load_16(in.gain + k), gain);
  KL_UNROLL
  for (uint32_t i = 0; i < 4; ++i) v[i] = v[i] * factor * gain[i];
}

// Tiles [first, first + chunk) of K, rounded before, to shared memory.
KL_DEVICE void copy_inputs(const RowInputs& in, uint32_t t0, uint32_t rows, uint32_t first, uint32_t count, const RowShared& s) {
  for (uint32_t r = 0; r < rows; ++r) {
    const uint64_t from = static_cast<uint64_t>(t0 + r) * in.tiles + first;
    for (uint32_t i = threadIdx.x; i < count * 4; i += blockDim.x)
      s.codes[(i / 4 * in.rows + r) * 4 + i % 4] = load_16(in.q.codes + from * 64 + 16 * i);
    for (uint32_t i = threadIdx.x; i < count * 2; i += blockDim.x) {
      s.scale[(i / 2 * in.rows + r) * 2 + i % 2] = in.q.scale[from * 2 + i];
      s.sum[(i / 2 * in.rows + r) * 2 + i % 2] = in.q.sum[from * 2 + i];
    }
  }
}

// The same of float32 inputs, normed where there is a gain.
KL_DEVICE void round_inputs(const RowInputs& in, uint32_t t0, uint32_t rows, uint32_t first, uint32_t count, const RowShared& s) {
  constexpr uint32_t kAtOnce = 2;  // rows whose loads a thread has under way: with four some kernels spill
  const SharedPointer<uint32_t> words = shared_as<uint32_t>(s.codes);
  KL_LOOP
  for (uint32_t begin = 0; begin < count * 16; begin += blockDim.x) {  // whole warps go round
    const uint32_t at = begin + threadIdx.x, k = 64 * first + 4 * at;
    const bool there = at < count * 16 && k < in.k;
    float gain[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    if (there && in.gain != nullptr) four_floats(load_16(in.gain + k), gain);
    KL_LOOP
    for (uint32_t r0 = 0; r0 < rows; r0 += kAtOnce) {
      uint4 bits[kAtOnce];
      KL_UNROLL
      for (uint32_t j = 0; j < kAtOnce; ++j) {
        bits[j] = make_uint4(0, 0, 0, 0);
        if (there && r0 + j < rows) bits[j] = load_16(in.x + static_cast<uint64_t>(t0 + r0 + j) * in.k + k);
      }
      KL_UNROLL
      for (uint32_t j = 0; j < kAtOnce; ++j) {
        const uint32_t r = r0 + j;
        if (r >= rows) break;
        float v[4];
        four_floats(bits[j], v);
        if (there && in.gain != nullptr) {
          const float factor = s.factor[r];
          KL_UNROLL
          for (uint32_t i = 0; i < 4; ++i) v[i] = v[i] * factor * gain[i];
        }
        const RoundedFour four = round_four(v);
        if (at >= count * 16) continue;
        const uint32_t place = at / 16 * in.rows + r;
        words[place * 16 + word_of_four(at % 16)] = four.codes;
        if (at % 8 != 0) continue;
        s.scale[place * 2 + at % 16 / 8] = four.scale;
        s.sum[place * 2 + at % 16 / 8] = four.sum;
      }
    }
  }
}

// Tiles [first, first + chunk) of K to shared memory. Barriers are the caller's.
KL_DEVICE void stage_inputs(const RowInputs& in, uint32_t t0, uint32_t rows, uint32_t first, const RowShared& s) {
  const uint32_t count = in.tiles - first < in.chunk ? in.tiles - first : in.chunk;
  if (in.q.codes != nullptr) {
    copy_inputs(in, t0, rows, first, count, s);
  } else {
    round_inputs(in, t0, rows, first, count, s);
  }
}

// Zeros for the rows that shared memory has a place for and the step has not: tensor cores multiply them all, and nothing comes of these.
KL_DEVICE void stage_zeros(const RowInputs& in, uint32_t rows, const RowShared& s) {
  const uint32_t missing = in.rows - rows, count = in.chunk * missing;
  for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) {
    const uint32_t place = i / missing * in.rows + rows + i % missing;
    KL_UNROLL
    for (uint32_t q = 0; q < 4; ++q) s.codes[place * 4 + q] = make_uint4(0, 0, 0, 0);
    KL_UNROLL
    for (uint32_t b = 0; b < 2; ++b) {
      s.scale[place * 2 + b] = 0.0f;
      s.sum[place * 2 + b] = 0.0f;
    }
  }
}

}  // namespace kl::cuda
