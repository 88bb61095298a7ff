// attention over the paged cache: out = softmax(scale q K' + mask) V, cap c: c tanh(x / c), optional sinks.                     q [T H*D] -> out [T H*D]
// A row at slot s with span [a, b) sees slots [max(0, s - window + 1), max(b, s + 1)). A block takes up to 8 queries of one KV head: the heads that share it, of one
// row where spans are split (decode), of as many rows as fit where it walks them (prefill). K and V are read from pages as they lie, once for all these queries.
// Order: common/attention.cuh; scores: dimensions ascend by fma, in q8 and q4 within a group of codes, groups joined by fma with their scales (then minima).
// With partial, block z takes span z of its row and leaves (m, l, sum of V); the last of a row's blocks for these queries (common/arrive.cuh) merges the spans. Blocks
// beyond a row's spans leave at once.
// Grid (G * ceil(H / G / queries), rows or ceil(rows / rows of a block), spans). Bytes: a row's K and V once per 8 queries. Bound: bandwidth. Not measured: there was no card.
#include "cuda/kernels/attention.h"

#include "cuda/common/arrive.cuh"
#include "cuda/common/attention.cuh"
#include "cuda/common/attention_merge.cuh"
#include "cuda/common/kv_page.cuh"

namespace kl::cuda {

namespace {

KL_DEVICE float4 four_of(const SharedPointer<float>& p, uint32_t index) { return shared_as<float4>(p)[index]; }
// f16 number `index`.
KL_DEVICE float half_at(const uint8_t* at, uint32_t index) { return half_to_float(reinterpret_cast<const uint16_t*>(at)[index]); }
// Four neighbouring f16 numbers from a multiple of 4 on.
KL_DEVICE void four_halves(const uint8_t* at, uint32_t index, float (&out)[4]) {
  const uint2 words = load_8(at + 2 * index);
  const float2 a = halves_to_floats(words.x), b = halves_to_floats(words.y);
  out[0] = a.x, out[1] = a.y, out[2] = b.x, out[3] = b.y;
}

// One sequence's keys of one head, as attend_span takes them.
template <KvFormat F>
struct PagedKeys {
  const KvPages& p;
  SharedPointer<float> query;      // [n][D]
  SharedPointer<float> query_sum;  // q4: [n][groups] sum of each K group of a query
  uint32_t sequence, head, size;

  KL_DEVICE void score(uint32_t position, uint32_t n, float (&s)[kAttentionQueries]) const {
    const uint8_t* base = head_of(p, sequence, position, head);
    const uint32_t token = position % kPageTokens, fours = size / 4;
    if constexpr (F == KvFormat::f32 || F == KvFormat::f16) {
      for (uint32_t i = 0; i < fours; ++i) {
        float k[4];
        KL_UNROLL
        for (uint32_t j = 0; j < 4; ++j) {
          const uint32_t at = (4 * i + j) * 32 + token;
          if constexpr (F == KvFormat::f32) {
            k[j] = reinterpret_cast<const float*>(base + p.k)[at];
          } else {
            k[j] = half_at(base + p.k, at);
          }
        }
        KL_UNROLL
        for (uint32_t q = 0; q < kAttentionQueries; ++q) {
          if (q >= n) break;
          const float4 x = four_of(query, q * fours + i);
          s[q] = fma_of(x.w, k[3], fma_of(x.z, k[2], fma_of(x.y, k[1], fma_of(x.x, k[0], s[q]))));
        }
      }
      return;
    }
    constexpr uint32_t kGroup = kKGroup<F>;
    const uint32_t groups = (size + kGroup - 1) / kGroup;
    for (uint32_t g = 0; g < groups; ++g) {
      float part[kAttentionQueries];
      KL_UNROLL
      for (uint32_t q = 0; q < kAttentionQueries; ++q) part[q] = 0.0f;
      const uint32_t end = (g + 1) * kGroup < size ? (g + 1) * kGroup : size;
      for (uint32_t d = g * kGroup; d < end; d += F == KvFormat::q8 ? 4 : 8) {
        constexpr uint32_t kFours = F == KvFormat::q8 ? 1 : 2;
        const uint32_t codes = load_4(base + p.k + (d / (4 * kFours) * 32 + token) * 4);
        uint32_t fifths = 0;
        if constexpr (F == KvFormat::q4) fifths = load_4(base + p.k_bits + (d / 32 * 32 + token) * 4) >> (d % 32);
        KL_UNROLL
        for (uint32_t f = 0; f < kFours; ++f) {
          float k[4];
          KL_UNROLL
          for (uint32_t j = 0; j < 4; ++j) {
            if constexpr (F == KvFormat::q8) {
              k[j] = static_cast<float>(signed_byte(codes, j));
            } else {
              k[j] = static_cast<float>((codes >> (8 * j + 4 * f) & 15u) | (fifths >> (4 * f + j) & 1u) << 4);
            }
          }
          KL_UNROLL
          for (uint32_t q = 0; q < kAttentionQueries; ++q) {
            if (q >= n) break;
            const float4 x = four_of(query, q * fours + d / 4 + f);
            part[q] = fma_of(x.w, k[3], fma_of(x.z, k[2], fma_of(x.y, k[1], fma_of(x.x, k[0], part[q]))));
          }
        }
      }
      const float scale = half_at(base, g * 32 + token);
      float least = 0.0f;
      if constexpr (F == KvFormat::q4) least = half_at(base, (groups + g) * 32 + token);
      KL_UNROLL
      for (uint32_t q = 0; q < kAttentionQueries; ++q) {
        if (q >= n) break;
        s[q] = fma_of(scale, part[q], s[q]);
        if constexpr (F == KvFormat::q4) s[q] = fma_of(least, query_sum[q * groups + g], s[q]);
      }
    }
  }

  KL_DEVICE uint32_t chunks() const { return F == KvFormat::q4 ? (size / 2 + 31) / 32 : (size + kChunk - 1) / kChunk; }
  KL_DEVICE uint32_t dimension(uint32_t chunk, uint32_t lane, uint32_t e) const {
    if constexpr (F == KvFormat::q8) return chunk * kChunk + 32 * e + lane;
    if constexpr (F == KvFormat::q4) return chunk * 32 + lane < size / 2 ? chunk * 32 + lane + e * (size / 2) : size;
    return chunk * kChunk + 2 * lane + e;
  }

  KL_DEVICE void values(uint32_t position, uint32_t chunk, uint32_t lane, float (&v)[4][2]) const {
    const uint8_t* base = head_of(p, sequence, position, head);
    const uint32_t token = position % kPageTokens;
    KL_UNROLL
    for (uint32_t j = 0; j < 4; ++j) v[j][0] = v[j][1] = 0.0f;
    if constexpr (F == KvFormat::f32 || F == KvFormat::f16) {
      const uint32_t d = dimension(chunk, lane, 0);
      if (d >= size) return;
      KL_UNROLL
      for (uint32_t j = 0; j < 4; ++j) {
        const uint32_t at = (token + j) * size + d;
        if constexpr (F == KvFormat::f32) {
          const uint2 two = load_8(base + p.v + 4 * at);
          v[j][0] = __uint_as_float(two.x);
          v[j][1] = __uint_as_float(two.y);
        } else {
          const float2 two = halves_to_floats(load_4(base + p.v + 2 * at));
          v[j][0] = two.x;
          v[j][1] = two.y;
        }
      }
    } else {
      const uint32_t columns = F == KvFormat::q8 ? size : size / 2, groups = (size + kVGroup - 1) / kVGroup;
      uint32_t codes = 0;
      KL_UNROLL
      for (uint32_t e = 0; e < 2; ++e) {
        const uint32_t d = dimension(chunk, lane, e);
        if (d >= size) continue;
        if (F == KvFormat::q8 || e == 0) codes = load_4(base + p.v + (token / 4 * columns + d) * 4);
        float scale[4], least[4] = {0, 0, 0, 0};
        four_halves(base + p.v_scales, d / kVGroup * 32 + token, scale);
        if constexpr (F == KvFormat::q4) four_halves(base + p.v_scales, (groups + d / kVGroup) * 32 + token, least);
        KL_UNROLL
        for (uint32_t j = 0; j < 4; ++j) {
          if constexpr (F == KvFormat::q8) {
            v[j][e] = scale[j] * static_cast<float>(signed_byte(codes, j));
          } else {
            v[j][e] = fma_of(scale[j], static_cast<float>(codes >> (8 * j + 4 * e) & 15u), least[j]);
          }
        }
      }
    }
  }
};

// What row t sees.
KL_DEVICE Seen seen_by(const AttentionArgs& a, uint32_t t) {
  const auto slot = static_cast<uint32_t>(a.pages.row_slot[t]);
  const uint32_t ahead = a.row_span[2 * t + 1], begin = a.window == 0 || slot + 1 < a.window ? 0 : slot + 1 - a.window;
  return {begin, ahead > slot + 1 ? ahead : slot + 1};
}

template <KvFormat F, bool kSplit>
KL_DEVICE void attention(const AttentionArgs& a) {
  KL_ATTENTION_SHARED(s);
  KL_SHARED(float, query_sum, kQueryFloats / kKGroup<KvFormat::q4> + kAttentionQueries);
  KL_SHARED(uint32_t, last_block, 1);
  const uint32_t thread = threadIdx.x, size = a.head_size, most = a.queries, group = a.heads / a.kv_heads;
  // The heads of this block: [h0, h0 + heads) of the group; its rows: [t0, t1).
  const uint32_t parts = (group + most - 1) / most, kv_head = blockIdx.x / parts, in_group = blockIdx.x % parts * most;
  const uint32_t heads = group - in_group < most ? group - in_group : most, h0 = kv_head * group + in_group;
  const uint32_t rows = kSplit || parts > 1 ? 1 : most / group, live = live_rows(a.rows);
  const uint32_t t0 = blockIdx.y * rows, t1 = t0 + rows < live ? t0 + rows : live;
  if (t0 >= live) return;
  // Neighbouring rows of one sequence share what is read.
  for (uint32_t from = t0; from < t1;) {
    const uint32_t sequence = a.pages.row_sequence[from];
    Seen all = seen_by(a, from);
    uint32_t to = from + 1;
    for (; to < t1 && a.pages.row_sequence[to] == sequence; ++to) {
      const Seen one = seen_by(a, to);
      all.begin = one.begin < all.begin ? one.begin : all.begin;
      all.end = one.end > all.end ? one.end : all.end;
    }
    const uint32_t n = (to - from) * heads;
    uint32_t first = all.begin / kSpan, last = (all.end - 1) / kSpan;
    const uint32_t spans = last - first + 1;
    if constexpr (kSplit) {
      first += blockIdx.z;
      if (first > last) return;
      last = first;
    }
    const auto place = [&](uint32_t i) { return static_cast<uint64_t>(from + i / heads) * a.heads + h0 + i % heads; };
    for (uint32_t at = thread; at < n * size; at += kSpan) {
      s.query[at] = a.q[place(at / size) * size + at % size];
      s.out[at] = 0.0f;
    }
    if (thread < n) {
      const Seen mine = seen_by(a, from + thread / heads);
      s.seen[2 * thread] = mine.begin;
      s.seen[2 * thread + 1] = mine.end;
      const bool sinks = !kSplit && a.sinks != nullptr;
      s.state[thread] = sinks ? a.sinks[h0 + thread % heads] : kNothing;
      s.state[kAttentionQueries + thread] = sinks ? 1.0f : 0.0f;
    }
    if constexpr (F == KvFormat::q4) {
      rotate_rows<false>(s.query, n, size, thread, kSpan);
      const uint32_t groups = (size + 63) / 64;
      if (thread < n * groups) {
        const uint32_t d0 = thread % groups * 64, d1 = d0 + 64 < size ? d0 + 64 : size;
        float sum = 0.0f;
        for (uint32_t d = d0; d < d1; ++d) sum = sum + s.query[thread / groups * size + d];
        query_sum[thread] = sum;
      }
    }
    __syncthreads();
    const Partials partials{kSplit ? a.partial + place(0) * a.spans * (size + 2) : nullptr, static_cast<uint64_t>(a.spans) * (size + 2),
                            size + 2};
    const PagedKeys<F> keys{a.pages, s.query, query_sum, sequence, kv_head, size};
    for (uint32_t span = first; span <= last; ++span) {
      if constexpr (kSplit) {
        attend_span(s, keys, n, span, all, size, a.scale, a.cap,
                    [&](uint32_t i, uint32_t d, float v) { partials.at(i, blockIdx.z)[2 + d] = v; });
        if (thread < n) {
          partials.at(thread, blockIdx.z)[0] = s.state[thread];  // nothing was before: the span's own
          partials.at(thread, blockIdx.z)[1] = s.state[kAttentionQueries + thread];
        }
      } else {
        attend_span(s, keys, n, span, all, size, a.scale, a.cap, [&](uint32_t i, uint32_t d, float v) { add_to_out(s, i, d, v, size); });
      }
    }
    if constexpr (kSplit) {
      if (!last_to_arrive(a.counters + blockIdx.y * gridDim.x + blockIdx.x, spans, last_block)) return;
      merge_spans(a, s, partials, n, heads, h0, spans);
    } else {
      for (uint32_t at = thread; at < n * size; at += kSpan) s.out[at] = s.out[at] / s.state[kAttentionQueries + at / size];
    }
    if constexpr (F == KvFormat::q4) rotate_rows<false>(s.out, n, size, thread, kSpan);
    for (uint32_t at = thread; at < n * size; at += kSpan) a.y[place(at / size) * size + at % size] = s.out[at];
    __syncthreads();
    from = to;
  }
}

}  // namespace

#define KL_FORMAT(F)                                                                                     \
  KL_KERNEL(attention__walk_##F, AttentionArgs, kAttentionThreads) { attention<KvFormat::F, false>(a); } \
  KL_KERNEL(attention__split_##F, AttentionArgs, kAttentionThreads) { attention<KvFormat::F, true>(a); }
KL_FORMAT(f32)
KL_FORMAT(f16)
KL_FORMAT(q8)
KL_FORMAT(q4)
#undef KL_FORMAT

}  // namespace kl::cuda
