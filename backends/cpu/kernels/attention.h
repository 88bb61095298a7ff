// out[t][h] = softmax(scale * q[t][h] K' + mask) V over the slots that row t sees (seen_slots): causal, or both ways inside the row's span;
// optional window, cap and sinks.      q, out [T][H*D]
//
// Per row and head, in this order (a function of the slots seen alone):
//   q' = q * scale (rotated first for q4)
//   for each span of 256 positions, ascending; in it for each page of 32, ascending, with at least one visible slot:
//     s_j = sum over d, ascending, of fma(q'_d, K_jd, s_j);  with a cap s_j = cap * tanh(s_j / cap);  slots not visible are left out
//     m' = max(m, max_j s_j);  c = e^(m - m');  p_j = e^(s_j - m');  l_j = fma(l_j, c, p_j), 32 lanes, one per slot
//     acc_d = acc_d * c, then over visible j, ascending, fma(p_j, V_jd, acc_d)
//   a span's (m, l = lanes added at distance 16, 8, 4, 2, 1, acc) is merged into the row's total; then a sink; out = total acc * (1 / total l)
// Lanes are slots in q K' and dimensions in p V, so no sum depends on a vector's width: all instruction sets agree to the bit.
//
// Query tiles: the rows of a call go through each page together, kTileQueries of them; a page is unpacked to float32 once per tile (kv_tile.h), or read
// directly when few queries share it. Rows that see only part of a page take it alone, or with the rows that see the same part, so that slots they
// do not see never enter a product.
// Bound: multiply-adds of float32 (2 D per visible slot); with one query the cache's bytes. Measured (bench/attention_bench.cpp, Zen 4 server core with
// AVX-512, heads of SmolLM2, one layer, CPU time on a busy machine): 512 rows f16 3.84 ms, 67 % of the fma peak (80 % inside whole pages); one row
// over 4,096 slots f16 147, q8 253, q4 295 microseconds. q8 and q4 pay for unpacking to float32: integer dots are not used yet.
#pragma once
#include "cpu/isa/attention_kernels.h"
#include "cpu/kernels/attention_support.h"
#include "cpu/kernels/kv_tile.h"
#include "cpu/kernels/rotate.h"
#include "cpu/kernels/softmax.h"

namespace kl::cpu {
namespace {

constexpr uint32_t kRecordHead = 16;  // floats before acc in a partial result: m, l, unused

// Sizes and pointers of one call. Strides of q, acc, total: `stride` floats, D rounded up to 16.
struct Tile {
  uint32_t size = 0, stride = 0, group = 0;
  uint32_t rows = 0;
  SlotRange seen[kTileQueries];  // by each row; neither end ever moves back
  float cap = 0;
  float *q = nullptr, *acc = nullptr, *total = nullptr;        // [queries][stride]
  float *m = nullptr, *total_m = nullptr, *total_l = nullptr;  // [queries]
  float* l = nullptr;                                          // [queries][32]
  float* p = nullptr;                                          // [kQueryBlock][32]
  float *k_tile = nullptr, *v_tile = nullptr;                  // [D][32], [32][D] and 16 more
};

KL_INLINE uint32_t rows_of_tile(uint32_t group) { return group >= kTileQueries ? 1 : kTileQueries / group; }

KL_INLINE Tile lay_out(uint32_t size, uint32_t group, std::byte* scratch) {
  Tile t;
  t.size = size;
  t.stride = (size + 15) / 16 * 16;
  t.group = group;
  const size_t queries = static_cast<size_t>(rows_of_tile(group)) * group, padded = (queries + 15) / 16 * 16;
  float* at = reinterpret_cast<float*>(scratch);
  const auto take = [&](size_t floats) KL_ALWAYS_INLINE {
    float* p = at;
    at += floats;
    return p;
  };
  t.q = take(queries * t.stride);
  t.acc = take(queries * t.stride);
  t.total = take(queries * t.stride);
  t.m = take(padded);
  t.total_m = take(padded);
  t.total_l = take(padded);
  t.l = take(queries * kTokens);
  t.p = take(kQueryBlock * kTokens);
  t.k_tile = take(static_cast<size_t>(size) * kTokens);
  t.v_tile = take(static_cast<size_t>(size) * kTokens + 16);
  return t;
}

// Where a block reads K and V from.
template <class S>
struct FloatSource {
  const float *k, *v;
  uint32_t size;
  KL_INLINE typename S::F keys(const FloatSource& s, uint32_t d, uint32_t token) { return S::load(s.k + d * kTokens + token); }
  KL_INLINE typename S::F values(const FloatSource& s, uint32_t token, uint32_t d) { return S::load(s.v + token * s.size + d); }
};
template <class S>
struct HalfSource {
  const std::byte *k, *v;
  uint32_t size;
  KL_INLINE typename S::F keys(const HalfSource& s, uint32_t d, uint32_t token) { return S::load_f16(s.k + 2 * (d * kTokens + token)); }
  KL_INLINE typename S::F values(const HalfSource& s, uint32_t token, uint32_t d) { return S::load_f16(s.v + 2 * (token * s.size + d)); }
};

template <class S, int kQueries, class Source>
KL_INLINE void scores(const Tile& t, const Source& source, uint32_t query) {
  using F = typename S::F;
  const float* q = t.q + static_cast<size_t>(query) * t.stride;
  for (uint32_t token = 0; token < kTokens; token += 2 * S::kLanes) {
    F sum[kQueries][2];
    unroll<kQueries>([&](auto i) KL_ALWAYS_INLINE { sum[i][0] = sum[i][1] = S::set(0.0f); });
    for (uint32_t d = 0; d < t.size; ++d) {
      const F k0 = Source::keys(source, d, token), k1 = Source::keys(source, d, token + S::kLanes);
      unroll<kQueries>([&](auto i) KL_ALWAYS_INLINE {
        const F x = S::set(q[i * t.stride + d]);
        sum[i][0] = S::fma(x, k0, sum[i][0]);
        sum[i][1] = S::fma(x, k1, sum[i][1]);
      });
    }
    unroll<kQueries>([&](auto i) KL_ALWAYS_INLINE {
      S::store(t.p + i * kTokens + token, sum[i][0]);
      S::store(t.p + i * kTokens + token + S::kLanes, sum[i][1]);
    });
  }
}

// Scores to probabilities for the slots [low, high); returns c, what the earlier sums are multiplied by.
template <class S>
KL_INLINE float probabilities(const Tile& t, float* p, uint32_t query, int low, int high) {
  using F = typename S::F;
  constexpr int kVectors = kTokens / S::kLanes;
  if (low > 0 || high < kTokens) {
    for (int j = 0; j < low; ++j) p[j] = kNoScore;
    for (int j = high; j < kTokens; ++j) p[j] = kNoScore;
  }
  F s[kVectors];
  unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { s[v] = S::load(p + v * S::kLanes); });
  if (t.cap > 0.0f) {
    unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE {
      const F capped = S::set(t.cap) * tanh<S>(S::divide(s[v], S::set(t.cap)));
      s[v] = S::select_less(S::set(kNoScore), s[v], capped, s[v]);
    });
  }
  F most = s[0];
  unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { most = S::max(most, s[v]); });
  const float before = t.m[query], page = reduce_max<S>(most), m = page > before ? page : before;
  float c = 1.0f;  // what e^0 is, exactly
  if (m > before) {
    c = first_lane<S>(exp<S>(S::set(before - m)));
    t.m[query] = m;
  }
  float* l = t.l + static_cast<size_t>(query) * kTokens;
  unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE {
    const F e = S::select_less(S::set(kNoScore), s[v], exp<S>(s[v] - S::set(m)), S::set(0.0f));
    S::store(p + v * S::kLanes, e);
    S::store(l + v * S::kLanes, S::fma(S::load(l + v * S::kLanes), S::set(c), e));
  });
  return c;
}

template <class S, int kQueries, int kVectors, class Source>
KL_INLINE void weighted_values(const Tile& t, const Source& source, uint32_t query, const float* c, uint32_t d, int low, int high) {
  using F = typename S::F;
  float* acc = t.acc + static_cast<size_t>(query) * t.stride + d;
  F sum[kQueries][kVectors];
  unroll<kQueries>([&](auto i) KL_ALWAYS_INLINE {
    const F scale = S::set(c[i]);
    unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { sum[i][v] = S::load(acc + i * t.stride + v * S::kLanes) * scale; });
  });
  for (int j = low; j < high; ++j) {
    F value[kVectors];
    unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { value[v] = Source::values(source, j, d + v * S::kLanes); });
    unroll<kQueries>([&](auto i) KL_ALWAYS_INLINE {
      const F p = S::set(t.p[i * kTokens + j]);
      unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { sum[i][v] = S::fma(p, value[v], sum[i][v]); });
    });
  }
  unroll<kQueries>([&](auto i) KL_ALWAYS_INLINE {
    unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { S::store(acc + i * t.stride + v * S::kLanes, sum[i][v]); });
  });
}

// Queries [query, query + kQueries) through the slots [low, high) of one page.
template <class S, int kQueries, class Source>
[[gnu::noinline]] void block(const Tile& t, const Source& source, uint32_t query, int low, int high) {
  constexpr int kWide = S::kLanes == 16 ? 4 : 2;
  float c[kQueries];
  scores<S, kQueries>(t, source, query);
  for (int i = 0; i < kQueries; ++i) c[i] = probabilities<S>(t, t.p + i * kTokens, query + i, low, high);
  uint32_t d = 0;
  for (; d + kWide * S::kLanes <= t.size; d += kWide * S::kLanes) weighted_values<S, kQueries, kWide>(t, source, query, c, d, low, high);
  for (; d < t.size; d += S::kLanes) weighted_values<S, kQueries, 1>(t, source, query, c, d, low, high);
}

template <class S, class Source>
KL_INLINE void queries_of_page(const Tile& t, const Source& source, uint32_t query, uint32_t end, int low, int high) {
  for (; query + 6 <= end; query += 6) block<S, 6>(t, source, query, low, high);
  switch (end - query) {
    case 5:
      block<S, 3>(t, source, query, low, high);
      block<S, 2>(t, source, query + 3, low, high);
      break;
    case 4:
      block<S, 4>(t, source, query, low, high);
      break;
    case 3:
      block<S, 3>(t, source, query, low, high);
      break;
    case 2:
      block<S, 2>(t, source, query, low, high);
      break;
    case 1:
      block<S, 1>(t, source, query, low, high);
      break;
    default:
      break;
  }
}

// Rows of the tile that see slots of a page: [seen, seen_end); those that see all of it: [whole, whole_end). Page by page every end moves forward.
struct PageRows {
  uint32_t seen = 0, seen_end = 0, whole = 0, whole_end = 0;
};
KL_INLINE void to_page(const Tile& t, int32_t start, PageRows& r) {
  const int32_t end = start + kTokens;
  while (r.seen < t.rows && t.seen[r.seen].end <= start) ++r.seen;
  while (r.whole < t.rows && t.seen[r.whole].end < end) ++r.whole;
  while (r.seen_end < t.rows && t.seen[r.seen_end].first < end) ++r.seen_end;
  while (r.whole_end < t.rows && t.seen[r.whole_end].first <= start) ++r.whole_end;
}

template <class S, class Source>
KL_INLINE void rows_of_page_through(const Tile& t, const Source& source, const PageRows& r, int32_t start) {
  // Rows [row, last) in runs that see the same part of the page.
  const auto in_parts = [&](uint32_t row, uint32_t last) KL_ALWAYS_INLINE {
    const auto low = [&](uint32_t i) KL_ALWAYS_INLINE { return t.seen[i].first < start ? 0 : t.seen[i].first - start; };
    const auto high = [&](uint32_t i) KL_ALWAYS_INLINE { return t.seen[i].end > start + kTokens ? kTokens : t.seen[i].end - start; };
    while (row < last) {
      uint32_t next = row + 1;
      while (next < last && low(next) == low(row) && high(next) == high(row)) ++next;
      queries_of_page<S>(t, source, row * t.group, next * t.group, low(row), high(row));
      row = next;
    }
  };
  if (r.whole >= r.whole_end) return in_parts(r.seen, r.seen_end);
  in_parts(r.seen, r.whole);
  queries_of_page<S>(t, source, r.whole * t.group, r.whole_end * t.group, 0, kTokens);
  in_parts(r.whole_end, r.seen_end);
}

// One span of the tile: acc, m, l of every query, empty (m = -infinity) for rows that see none of it.
template <class S>
[[gnu::noinline]] void run_span(const Tile& t, const AttentionArgs& a, const KvPageLayout& layout, uint32_t g, uint32_t span, PageRows& r) {
  const uint32_t queries = t.rows * t.group;
  for (uint32_t i = 0; i < queries; ++i) t.m[i] = kNoScore;
  for (size_t i = 0; i < static_cast<size_t>(queries) * t.stride; ++i) t.acc[i] = 0.0f;
  for (size_t i = 0; i < static_cast<size_t>(queries) * kTokens; ++i) t.l[i] = 0.0f;
  const KvFormat format = a.cache.shape.format;
  const bool whole_vectors = t.size % S::kLanes == 0;
  for (uint32_t page = 0; page < kSpanPages; ++page) {
    const auto start = static_cast<int32_t>(span * kSpanTokens + page * kTokens);
    to_page(t, start, r);
    if (r.seen >= r.seen_end) continue;
    const std::byte* head = a.cache.base + a.pages[start / kTokens] * layout.page_bytes + g * layout.head_bytes;
    const uint32_t sharing = (r.seen_end - r.seen) * t.group;
    if (format == KvFormat::f16 && whole_vectors && sharing <= 2 * kQueryBlock) {
      rows_of_page_through<S>(t, HalfSource<S>{head + layout.k, head + layout.v, t.size}, r, start);
    } else if (format == KvFormat::f32 && whole_vectors) {
      rows_of_page_through<S>(
          t, FloatSource<S>{reinterpret_cast<const float*>(head + layout.k), reinterpret_cast<const float*>(head + layout.v), t.size}, r,
          start);
    } else {
      page_to_tile<S>(format, layout, t.size, head, t.k_tile, t.v_tile);
      rows_of_page_through<S>(t, FloatSource<S>{t.k_tile, t.v_tile, t.size}, r, start);
    }
  }
}

template <class S>
KL_INLINE void load_queries(const Tile& t, const AttentionArgs& a, uint32_t row, uint32_t g) {
  for (uint32_t r = 0; r < t.rows; ++r) {
    for (uint32_t h = 0; h < t.group; ++h) {
      const float* from = a.q + (row + r) * a.q_stride + static_cast<size_t>(g * t.group + h) * t.size;
      float* to = t.q + static_cast<size_t>(r * t.group + h) * t.stride;
      if (a.cache.shape.format == KvFormat::q4) {
        for (uint32_t d = 0; d < t.size; ++d) to[d] = from[d];
        rotate<S>(to, t.size);
        from = to;
      }
      for (uint32_t d = 0; d < t.size; ++d) to[d] = from[d] * a.scale;
    }
  }
}

template <class S>
KL_INLINE void finish(const AttentionArgs& a, uint32_t size, uint32_t stride, uint32_t row, uint32_t head, float m, float l, float* total) {
  if (a.sinks != nullptr) merge<S>(m, l, total, stride, a.sinks[head], 1.0f, nullptr);
  const float inverse = 1.0f / l;
  for (uint32_t d = 0; d < size; ++d) total[d] *= inverse;
  if (a.cache.shape.format == KvFormat::q4) rotate<S>(total, size);
  float* out = a.out + row * a.out_stride + static_cast<size_t>(head) * size;
  for (uint32_t d = 0; d < size; ++d) out[d] = total[d];
}

// Tiles of rows [t0, t1), spans [s0, s1) cut to what each tile sees; done(tile, first row, span) after each span, end(tile, first row) after each tile.
template <class S, class Done, class End>
KL_INLINE void run_tiles(const AttentionArgs& a, uint32_t t0, uint32_t t1, uint32_t g, uint32_t s0, uint32_t s1, std::byte* scratch,
                         Done done, End end) {
  const KvPageLayout layout = page_layout(a.cache.shape);
  Tile t = lay_out(a.cache.shape.head_size, a.heads / a.cache.shape.kv_heads, scratch);
  t.cap = a.cap;
  const uint32_t step = rows_of_tile(t.group);
  for (uint32_t row = t0; row < t1; row += step) {
    t.rows = t1 - row < step ? t1 - row : step;
    for (uint32_t r = 0; r < t.rows; ++r) {
      t.seen[r] = seen_slots(a.positions[row + r], a.row_spans == nullptr ? nullptr : a.row_spans + size_t{2} * (row + r), a.window);
    }
    load_queries<S>(t, a, row, g);
    for (uint32_t i = 0; i < t.rows * t.group; ++i) t.total_m[i] = kNoScore;
    const SpanRange spans = attention_spans({t.seen[0].first, t.seen[t.rows - 1].end});
    PageRows cursor;
    for (uint32_t span = spans.first > s0 ? spans.first : s0; span < spans.end && span < s1; ++span) {
      run_span<S>(t, a, layout, g, span, cursor);
      done(t, row, span);
    }
    end(t, row);
  }
}

template <class S>
[[gnu::noinline]] void attention(const AttentionArgs& a, uint32_t t0, uint32_t t1, uint32_t g, std::byte* scratch) {
  run_tiles<S>(
      a, t0, t1, g, 0, 0xffffffffu, scratch,
      [](const Tile& t, uint32_t, uint32_t) KL_ALWAYS_INLINE {
        for (uint32_t i = 0; i < t.rows * t.group; ++i) {
          merge<S>(t.total_m[i], t.total_l[i], t.total + static_cast<size_t>(i) * t.stride, t.stride, t.m[i],
                   sum_of_slots(t.l + static_cast<size_t>(i) * kTokens), t.acc + static_cast<size_t>(i) * t.stride);
        }
      },
      [&](const Tile& t, uint32_t row) KL_ALWAYS_INLINE {
        for (uint32_t i = 0; i < t.rows * t.group; ++i) {
          finish<S>(a, t.size, t.stride, row + i / t.group, g * t.group + i % t.group, t.total_m[i], t.total_l[i],
                    t.total + static_cast<size_t>(i) * t.stride);
        }
      });
}

template <class S>
[[gnu::noinline]] void attention_partial(const AttentionArgs& a, uint32_t t0, uint32_t t1, uint32_t g, uint32_t s0, uint32_t s1,
                                         const AttentionPartials& partials, std::byte* scratch) {
  const uint32_t size = a.cache.shape.head_size, group = a.heads / a.cache.shape.kv_heads;
  const size_t record = kRecordHead + (size + 15) / 16 * 16;
  const auto at = [&](uint32_t row, uint32_t h, uint32_t span) KL_ALWAYS_INLINE {
    return partials.data + ((static_cast<size_t>(row - t0) * group + h) * partials.spans + (span - partials.first_span)) * record;
  };
  for (uint32_t row = t0; row < t1; ++row) {  // spans that a row's tile does not reach stay empty
    for (uint32_t h = 0; h < group; ++h) {
      for (uint32_t s = s0; s < s1; ++s) *at(row, h, s) = kNoScore;
    }
  }
  run_tiles<S>(
      a, t0, t1, g, s0, s1, scratch,
      [&](const Tile& t, uint32_t row, uint32_t span) KL_ALWAYS_INLINE {
        for (uint32_t i = 0; i < t.rows * t.group; ++i) {
          float* to = at(row + i / t.group, i % t.group, span);
          to[0] = t.m[i];
          to[1] = sum_of_slots(t.l + static_cast<size_t>(i) * kTokens);
          __builtin_memcpy(to + kRecordHead, t.acc + static_cast<size_t>(i) * t.stride, t.stride * sizeof(float));
        }
      },
      [](const Tile&, uint32_t) KL_ALWAYS_INLINE {});
}

template <class S>
[[gnu::noinline]] void attention_merge(const AttentionArgs& a, uint32_t t0, uint32_t t1, uint32_t g, const AttentionPartials& partials,
                                       std::byte* scratch) {
  const uint32_t size = a.cache.shape.head_size, group = a.heads / a.cache.shape.kv_heads, stride = (size + 15) / 16 * 16;
  const size_t record = kRecordHead + stride;
  float* total = reinterpret_cast<float*>(scratch);
  const float* from = partials.data;
  for (uint32_t row = t0; row < t1; ++row) {
    for (uint32_t h = 0; h < group; ++h) {
      float m = kNoScore, l = 0.0f;
      for (uint32_t s = 0; s < partials.spans; ++s, from += record) merge<S>(m, l, total, stride, from[0], from[1], from + kRecordHead);
      finish<S>(a, size, stride, row, g * group + h, m, l, total);
    }
  }
}

}  // namespace
}  // namespace kl::cpu
