// Attention in spans of 256 keys, what paged and dense attention share: a block of 256 threads and up to 8 queries that see keys of one head.
// Scores: a thread takes a key, for all queries. Weighted sum of V: a warp takes 32 keys of the span and 64 dimensions at a time.
//
// Order, for a query and a span, a function of the span and of the keys that the query sees in it; other queries of the block change nothing:
//   score   as the source of keys writes (ascending dimensions), times scale, then the cap
//   l       sum of e^(s - m): lanes of 32 neighbouring keys in a binary tree (partner lane ^ 16, 8, 4, 2, 1), then the eight in ascending order
//   o       sum of e^(s - m) v: within 32 keys by fma in ascending order, then the eight in ascending order
// Spans are merged in ascending order. Whether one block walks all spans or many take one each, the same numbers meet in the same order.
#pragma once
#include "cuda/common/activate.cuh"
#include "cuda/kernels/attention.h"

namespace kl::cuda {

constexpr float kNothing = -1e30f;  // below every score
constexpr uint32_t kAttentionWarps = kSpan / 32;
constexpr uint32_t kChunk = 64;  // dimensions that a warp sums at a time

// The keys that a query sees: [begin, end).
struct Seen {
  uint32_t begin, end;
};

// (M, L) with a span's (m, l): the factors of both sums, and the new M and L.
struct Merged {
  float most, sum, keep, take;
};
KL_DEVICE Merged merge_span(float most, float sum, float m, float l) {
  Merged r;
  r.most = fmaxf(most, m);
  r.keep = expf(most - r.most);
  r.take = expf(m - r.most);
  r.sum = fma_of(l, r.take, sum * r.keep);
  return r;
}

// What a block keeps in shared memory.
struct AttentionShared {
  SharedPointer<float> query;    // [queries][D]
  SharedPointer<float> out;      // [queries][D] weighted sum of V so far
  SharedPointer<float> weight;   // [queries][256]
  SharedPointer<float> part;     // [8 warps][queries][64]
  SharedPointer<float> meet;     // [2][8 warps][queries]
  SharedPointer<float> state;    // [5][queries]: most, sum, keep, take of a query; m of the span
  SharedPointer<uint32_t> seen;  // [queries][2]
};
#define KL_ATTENTION_SHARED(NAME)                                            \
  KL_SHARED(float, NAME##_query, kQueryFloats);                              \
  KL_SHARED(float, NAME##_out, kQueryFloats);                                \
  KL_SHARED(float, NAME##_weight, kAttentionQueries* kSpan);                 \
  KL_SHARED(float, NAME##_part, kAttentionWarps* kAttentionQueries* kChunk); \
  KL_SHARED(float, NAME##_meet, 2 * kAttentionWarps * kAttentionQueries);    \
  KL_SHARED(float, NAME##_state, 5 * kAttentionQueries);                     \
  KL_SHARED(uint32_t, NAME##_seen, 2 * kAttentionQueries);                   \
  const AttentionShared NAME = {NAME##_query, NAME##_out, NAME##_weight, NAME##_part, NAME##_meet, NAME##_state, NAME##_seen}

// Scores, weights and the weighted sum of V of one span; `each(query, dimension, value)` takes what is complete. keys:
//   score(position, n, s)             s[i] = query i . key, for the n queries
//   values(position, chunk, lane, v)  v[token][e]: two dimensions of four keys from `position` (a multiple of 4 from the span's first key) on; what no query may see need not be read
//   dimension(chunk, lane, e), chunks()
// all: the keys that some query sees. After it state holds the span's m and, merged with what was before, most, sum, keep and take; keep = 1, take = 0 and `each` is
// not called for a query that sees none of the span.
template <class Keys, class Each>
KL_DEVICE void attend_span(const AttentionShared& s, const Keys& keys, uint32_t n, uint32_t span, Seen all, uint32_t size, float scale,
                           float cap, const Each& each) {
  const uint32_t thread = threadIdx.x, warp = thread / 32, lane = thread % 32, first = span * kSpan, position = first + thread;
  float score[kAttentionQueries];
  KL_UNROLL
  for (uint32_t i = 0; i < kAttentionQueries; ++i) score[i] = 0.0f;
  if (position >= all.begin && position < all.end) keys.score(position, n, score);
  KL_UNROLL
  for (uint32_t i = 0; i < kAttentionQueries; ++i) {
    if (i >= n) break;
    float v = score[i] * scale;
    if (cap != 0.0f) v = cap * tanh_of(v / cap);
    score[i] = position >= s.seen[2 * i] && position < s.seen[2 * i + 1] ? v : kNothing;
    float most = score[i];
    KL_UNROLL
    for (int step = 16; step > 0; step /= 2) most = fmaxf(most, __shfl_xor_sync(kFullWarp, most, step));
    if (lane == 0) s.meet[warp * kAttentionQueries + i] = most;
  }
  __syncthreads();
  KL_UNROLL
  for (uint32_t i = 0; i < kAttentionQueries; ++i) {
    if (i >= n) break;
    float m = kNothing;
    KL_UNROLL
    for (uint32_t w = 0; w < kAttentionWarps; ++w) m = fmaxf(m, s.meet[w * kAttentionQueries + i]);
    const bool sees = position >= s.seen[2 * i] && position < s.seen[2 * i + 1];
    const float p = sees ? expf(score[i] - m) : 0.0f;
    s.weight[i * kSpan + thread] = p;
    float l = p;
    KL_UNROLL
    for (int step = 16; step > 0; step /= 2) l = l + __shfl_xor_sync(kFullWarp, l, step);
    if (lane == 0) s.meet[(kAttentionWarps + warp) * kAttentionQueries + i] = l;
    if (thread == i) s.state[4 * kAttentionQueries + i] = m;
  }
  __syncthreads();
  if (thread < n) {
    float l = s.meet[kAttentionWarps * kAttentionQueries + thread];
    KL_UNROLL
    for (uint32_t w = 1; w < kAttentionWarps; ++w) l = l + s.meet[(kAttentionWarps + w) * kAttentionQueries + thread];
    const bool sees = s.seen[2 * thread] < first + kSpan && s.seen[2 * thread + 1] > first;
    const float most = s.state[thread], sum = s.state[kAttentionQueries + thread];
    Merged r{most, sum, 1.0f, 0.0f};
    if (sees) r = merge_span(most, sum, s.state[4 * kAttentionQueries + thread], l);
    s.state[thread] = r.most;
    s.state[kAttentionQueries + thread] = r.sum;
    s.state[2 * kAttentionQueries + thread] = r.keep;
    s.state[3 * kAttentionQueries + thread] = r.take;
  }
  // Which queries see all 32 keys of this warp: there no key needs a look.
  const uint32_t page = first + 32 * warp;
  const bool any = page < all.end && page + 32 > all.begin;
  uint32_t whole = 0;
  for (uint32_t i = 0; i < n; ++i) whole |= (s.seen[2 * i] <= page && page + 32 <= s.seen[2 * i + 1] ? 1u : 0u) << i;
  for (uint32_t chunk = 0; chunk < keys.chunks(); ++chunk) {
    float sum[kAttentionQueries][2];
    KL_UNROLL
    for (uint32_t i = 0; i < kAttentionQueries; ++i) sum[i][0] = sum[i][1] = 0.0f;
    for (uint32_t four = 0; any && four < 8; ++four) {
      const uint32_t at = page + 4 * four;
      if (at + 4 <= all.begin || at >= all.end) continue;
      float v[4][2];
      keys.values(at, chunk, lane, v);
      KL_UNROLL
      for (uint32_t i = 0; i < kAttentionQueries; ++i) {
        if (i >= n) break;
        const float4 w4 = shared_as<float4>(s.weight)[(i * kSpan + 32 * warp) / 4 + four];
        const float w[4] = {w4.x, w4.y, w4.z, w4.w};
        if ((whole >> i & 1u) != 0) {
          KL_UNROLL
          for (uint32_t j = 0; j < 4; ++j) {
            sum[i][0] = fma_of(w[j], v[j][0], sum[i][0]);
            sum[i][1] = fma_of(w[j], v[j][1], sum[i][1]);
          }
          continue;
        }
        const uint32_t begin = s.seen[2 * i], end = s.seen[2 * i + 1];
        KL_UNROLL
        for (uint32_t j = 0; j < 4; ++j) {  // what a query does not see may be anything, NaN too
          const bool sees = at + j >= begin && at + j < end;
          sum[i][0] = sees ? fma_of(w[j], v[j][0], sum[i][0]) : sum[i][0];
          sum[i][1] = sees ? fma_of(w[j], v[j][1], sum[i][1]) : sum[i][1];
        }
      }
    }
    if (chunk > 0) __syncthreads();  // the chunk before is read
    KL_UNROLL
    for (uint32_t i = 0; i < kAttentionQueries; ++i) {
      if (i >= n) break;
      s.part[(warp * kAttentionQueries + i) * kChunk + lane] = sum[i][0];
      s.part[(warp * kAttentionQueries + i) * kChunk + 32 + lane] = sum[i][1];
    }
    __syncthreads();
    for (uint32_t at = thread; at < n * kChunk; at += kSpan) {
      const uint32_t i = at / kChunk, d = keys.dimension(chunk, at % 32, at % kChunk / 32);
      const bool sees = s.seen[2 * i] < first + kSpan && s.seen[2 * i + 1] > first;
      if (!sees || d >= size) continue;
      float v = s.part[at];
      KL_UNROLL
      for (uint32_t w = 1; w < kAttentionWarps; ++w) v = v + s.part[w * kAttentionQueries * kChunk + at];
      each(i, d, v);
    }
  }
  __syncthreads();
}

// The usual `each`: adds a span to what was before.
KL_DEVICE void add_to_out(const AttentionShared& s, uint32_t i, uint32_t d, float v, uint32_t size) {
  s.out[i * size + d] = fma_of(v, s.state[3 * kAttentionQueries + i], s.out[i * size + d] * s.state[2 * kAttentionQueries + i]);
}

}  // namespace kl::cuda
