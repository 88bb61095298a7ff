// out[t][h] = softmax(scale * q[t][h] K') V, K and V the rows of row t's range: whole pictures, windows.      q, k, v, out [T][H*D]
//
// Per row and head, in this order (a function of the range's rows alone, wherever in the step the range lies):
//   q' = q * scale; for each span of 256 of the range's rows, ascending from the range's first:
//     s_j = sum over d, ascending, of fma(q'_d, K_jd, s_j);  m = max_j s_j;  p_j = e^(s_j - m)
//     l = sum of p_j in 32 lanes, j % 32 each, ascending, then lanes at distance 16, 8, 4, 2, 1;  acc_d = sum over j, ascending, of fma(p_j, V_jd, acc_d)
//     (m, l, acc) is merged into the row's total (softmax.h)
//   out = total acc * (1 / total l)
// Lanes are keys in q K' and dimensions in p V, so no sum depends on a vector's width: all instruction sets agree to the bit.
//
// Layout of the packed operands, written once per step (dense_pack), per head: K in blocks of 32 rows of a range, [D][32], the last block [D][rest];
// V [rows][D]. A block begins at its first row * D floats, so ranges of any length need no more room than the rows themselves. Readers load whole
// vectors: they run past a short block by less than 32 floats, past V by less than 16.
// Bound: multiply-adds of float32, 2 D per pair of rows; exp costs a tenth of that at D = 64.
#pragma once
#include "cpu/isa/attention_kernels.h"
#include "cpu/kernels/softmax.h"

namespace kl::cpu {
namespace {

// Pointers of one call. Strides of q, acc, total: D rounded up to 16.
struct DenseTile {
  uint32_t size = 0, stride = 0;
  const float *k = nullptr, *v = nullptr;        // of the head, row 0 of the step
  float* q = nullptr;                            // [rows / 6][D][6], blocks stride * 6 floats apart
  float* total = nullptr;                        // [rows][stride]
  float *total_m = nullptr, *total_l = nullptr;  // [rows]
  float* p = nullptr;                            // [kQueryBlock][kSpanTokens]
  float* acc = nullptr;                          // [kQueryBlock][stride]
};

KL_INLINE DenseTile lay_out_dense(const DenseAttentionArgs& a, uint32_t head, std::byte* scratch) {
  DenseTile t;
  t.size = a.head_size;
  t.stride = (t.size + 15) / 16 * 16;
  t.k = a.packed + head * dense_head_floats(a.capacity, t.size);
  t.v = t.k + dense_key_floats(a.capacity, t.size);
  float* at = reinterpret_cast<float*>(scratch);
  const auto take = [&](size_t floats) KL_ALWAYS_INLINE {
    float* p = at;
    at += floats;
    return p;
  };
  t.q = take(static_cast<size_t>(kDenseTileRows) * t.stride);
  t.total = take(static_cast<size_t>(kDenseTileRows) * t.stride);
  t.total_m = take(kDenseTileRows);
  t.total_l = take(kDenseTileRows);
  t.p = take(kQueryBlock * kSpanTokens);
  t.acc = take(static_cast<size_t>(kQueryBlock) * t.stride);
  return t;
}

// Scores of one block of up to 32 keys -> p[query][0 .. 32); lanes past `width` get no score. q [D][kQueries].
template <class S, int kQueries>
[[gnu::noinline]] void dense_scores(const float* q, const float* keys, size_t size, size_t width, float* p) {
  using F = typename S::F;
  for (size_t lane = 0; lane < kTokens; lane += 2 * S::kLanes) {
    F sum[kQueries][2];
    unroll<kQueries>([&](auto i) KL_ALWAYS_INLINE { sum[i][0] = sum[i][1] = S::set(0.0f); });
    const float *x = q, *k = keys + lane;
    for (size_t d = 0; d < size; ++d, k += width, x += kQueries) {
      const F k0 = S::load(k), k1 = S::load(k + S::kLanes);
      keep_order();  // in registers: or the compiler folds them into the products and loads them six times
      unroll<kQueries>([&](auto i) KL_ALWAYS_INLINE {
        const F each = S::set(x[i]);
        sum[i][0] = S::fma(each, k0, sum[i][0]);
        sum[i][1] = S::fma(each, k1, sum[i][1]);
      });
    }
    unroll<kQueries>([&](auto i) KL_ALWAYS_INLINE {
      S::store(p + i * kSpanTokens + lane, sum[i][0]);
      S::store(p + i * kSpanTokens + lane + S::kLanes, sum[i][1]);
    });
  }
  for (int i = 0; i < kQueries; ++i) {
    for (size_t j = width; j < kTokens; ++j) p[i * kSpanTokens + j] = kNoScore;
  }
}

// Scores p[0 .. padded) to probabilities; m the greatest score, l their sum.
template <class S>
KL_INLINE void dense_probabilities(float* p, uint32_t padded, float& m, float& l) {
  using F = typename S::F;
  constexpr int kVectors = kTokens / S::kLanes;
  F most = S::load(p);
  for (uint32_t j = S::kLanes; j < padded; j += S::kLanes) most = S::max(most, S::load(p + j));
  m = reduce_max<S>(most);
  F sum[kVectors];
  unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { sum[v] = S::set(0.0f); });
  for (uint32_t j = 0; j < padded; j += kTokens) {
    unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE {
      const F e = exp<S>(S::load(p + j + v * S::kLanes) - S::set(m));  // without a score 1e-38, beside a sum of at least 1
      S::store(p + j + v * S::kLanes, e);
      sum[v] = sum[v] + e;
    });
  }
  float lanes[kTokens];
  unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { S::store(lanes + v * S::kLanes, sum[v]); });
  l = sum_of_slots(lanes);
}

// acc[query][d ..] = sum of p[query][j] V[j][d ..], `count` rows of V; values points to V[0][d].
template <class S, int kQueries, int kVectors>
[[gnu::noinline]] void dense_values(const float* p, const float* values, size_t size, size_t count, float* acc, size_t stride) {
  using F = typename S::F;
  F sum[kQueries][kVectors];
  unroll<kQueries>([&](auto i) KL_ALWAYS_INLINE { unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { sum[i][v] = S::set(0.0f); }); });
  for (size_t j = 0; j < count; ++j, values += size, ++p) {
    F value[kVectors];
    unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { value[v] = S::load(values + v * S::kLanes); });
    keep_order();
    unroll<kQueries>([&](auto i) KL_ALWAYS_INLINE {
      const F x = S::set(p[i * kSpanTokens]);
      unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { sum[i][v] = S::fma(x, value[v], sum[i][v]); });
    });
  }
  unroll<kQueries>([&](auto i) KL_ALWAYS_INLINE {
    unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { S::store(acc + i * stride + v * S::kLanes, sum[i][v]); });
  });
}

// Queries [query, query + kQueries) of the tile over keys [first, first + count) of the step, one span, merged into their totals.
template <class S, int kQueries>
[[gnu::noinline]] void dense_block(const DenseTile& t, uint32_t query, uint32_t first, uint32_t count) {
  const float* q = t.q + static_cast<size_t>(query) * t.stride;
  for (uint32_t j = 0; j < count; j += kTokens) {
    const uint32_t width = count - j < kTokens ? count - j : kTokens;
    dense_scores<S, kQueries>(q, t.k + static_cast<size_t>(first + j) * t.size, t.size, width, t.p + j);
  }
  float m[kQueries], l[kQueries];
  const uint32_t padded = (count + kTokens - 1) / kTokens * kTokens;
  for (int i = 0; i < kQueries; ++i) dense_probabilities<S>(t.p + i * kSpanTokens, padded, m[i], l[i]);

  // Vectors of acc in registers: 4 of AVX-512's 32 registers' worth, else 2. 5 left are taken as 3 and 2, never as 4 and 1.
  constexpr uint32_t kWide = S::kLanes == 16 ? 4 : 2;
  const float* values = t.v + static_cast<size_t>(first) * t.size;
  for (uint32_t d = 0, left = (t.size + S::kLanes - 1) / S::kLanes; left > 0;) {
    const uint32_t wide = kWide == 4 && left % 4 == 1 && left > 1 ? 3 : left < kWide ? left : kWide;
    if (wide == 1) dense_values<S, kQueries, 1>(t.p, values + d, t.size, count, t.acc + d, t.stride);
    if (wide == 2) dense_values<S, kQueries, 2>(t.p, values + d, t.size, count, t.acc + d, t.stride);
    if constexpr (kWide == 4) {
      if (wide == 3) dense_values<S, kQueries, 3>(t.p, values + d, t.size, count, t.acc + d, t.stride);
      if (wide == 4) dense_values<S, kQueries, 4>(t.p, values + d, t.size, count, t.acc + d, t.stride);
    }
    d += wide * S::kLanes;
    left -= wide;
  }
  for (int i = 0; i < kQueries; ++i) {
    merge<S>(t.total_m[query + i], t.total_l[query + i], t.total + static_cast<size_t>(query + i) * t.stride, t.stride, m[i], l[i],
             t.acc + static_cast<size_t>(i) * t.stride);
  }
}

// fn(first query, how many) over the register blocks of a tile.
template <class Fn>
KL_INLINE void over_blocks(uint32_t queries, Fn fn) {
  uint32_t query = 0;
  for (; query + 6 <= queries; query += 6) fn(query, Const<6>{});
  for (; query + 2 <= queries; query += 2) fn(query, Const<2>{});
  if (query < queries) fn(query, Const<1>{});
}

template <class S>
[[gnu::noinline]] void dense_attention(const DenseAttentionArgs& a, const RangeTile& tile, uint32_t head, std::byte* scratch) {
  const DenseTile t = lay_out_dense(a, head, scratch);
  const size_t at = static_cast<size_t>(head) * t.size;
  const uint32_t queries = tile.row1 - tile.row0;
  for (uint32_t i = 0; i < queries; ++i) {  // short pieces far apart: fetched together, or each would be waited for
    for (uint32_t d = 0; d < t.size; d += 16) {
      __builtin_prefetch(a.q + (tile.row0 + i) * a.stride + at + d);
      __builtin_prefetch(a.out + (tile.row0 + i) * a.stride + at + d, 1);
    }
  }
  over_blocks(queries, [&](uint32_t query, auto count) KL_ALWAYS_INLINE {
    constexpr int kQueries = decltype(count)::value;
    float* to = t.q + static_cast<size_t>(query) * t.stride;
    for (int i = 0; i < kQueries; ++i) {
      const float* from = a.q + (tile.row0 + query + i) * a.stride + at;
      for (size_t d = 0; d < t.size; ++d) to[d * kQueries + i] = from[d] * a.scale;
      t.total_m[query + i] = kNoScore;
    }
  });
  for (uint32_t i = 0; i < kQueryBlock * t.stride; ++i) t.acc[i] = 0.0f;  // what no vector of D reaches
  for (uint32_t first = tile.first; first < tile.end; first += kSpanTokens) {
    const uint32_t keys = tile.end - first < kSpanTokens ? tile.end - first : kSpanTokens;
    over_blocks(queries,
                [&](uint32_t query, auto count) KL_ALWAYS_INLINE { dense_block<S, decltype(count)::value>(t, query, first, keys); });
  }
  for (uint32_t i = 0; i < queries; ++i) {
    const float* total = t.total + static_cast<size_t>(i) * t.stride;
    float* out = a.out + (tile.row0 + i) * a.stride + at;
    const float inverse = 1.0f / t.total_l[i];
    for (uint32_t d = 0; d < t.size; ++d) out[d] = total[d] * inverse;
  }
}

// Rows [tile.row0 + 32 block, ...) of a tile, if there are any, as keys and values of every head: whole rows are read, since a head's part of one is
// too short for the hardware to fetch ahead. A tile begins a whole number of blocks after its range.
template <class S>
[[gnu::noinline]] void dense_pack(const DenseAttentionArgs& a, const RangeTile& tile, uint32_t block) {
  const uint32_t row = tile.row0 + block * kTokens;
  if (row >= tile.row1) return;
  const size_t size = a.head_size, width = tile.row1 - row < kTokens ? tile.row1 - row : kTokens;
  for (uint32_t head = 0; head < a.heads; ++head) {
    float* keys = a.packed + head * dense_head_floats(a.capacity, a.head_size);
    float* values = keys + dense_key_floats(a.capacity, a.head_size) + row * size;
    const float *k = a.k + row * a.stride + head * size, *v = a.v + row * a.stride + head * size;
    float* __restrict to = keys + row * size;
    for (size_t j = 0; j < width; ++j) {
      for (size_t d = 0; d < size; ++d) to[d * width + j] = k[j * a.stride + d];
    }
    for (size_t j = 0; j < width; ++j) __builtin_memcpy(values + j * size, v + j * a.stride, size * sizeof(float));
  }
}

}  // namespace
}  // namespace kl::cpu
