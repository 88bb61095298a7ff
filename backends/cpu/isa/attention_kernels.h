// The position, cache and attention kernels of one instruction set, as a table. One translation unit per instruction set exports one.
//
// The law of bits: a row's output depends on that row's query, the slots it sees and what they hold, and on nothing else. Keys are cut in
// fixed spans of 256 positions; inside a span an online softmax goes page by page in ascending order; the spans' partial results (m, l, acc) are
// merged in ascending order: M = max(m0, m1), l = l0 e^(m0-M) + l1 e^(m1-M), acc likewise; a sink is one more partial (m = sink, l = 1, acc = 0),
// merged last. Rows per call, threads, splitting over spans and the place of pages do not change a bit. Slots that a row does not see are never
// read into its arithmetic, whatever bits they hold.
#pragma once
#include <cstddef>
#include <cstdint>

#include "backend/kv_page.h"
#include "core/format.h"
#include "ir/op.h"

namespace kl::cpu {

inline constexpr uint32_t kSpanTokens = 256;
inline constexpr uint32_t kSpanPages = kSpanTokens / kKvPageTokens;
inline constexpr uint32_t kAttentionTileRows = 32;  // rows of a query tile: pages are unpacked once per tile

// One layer's pages. The pool of a KvGroup is layer-major: page p of layer l lies at pool + (l * pages + p) * page_bytes, so neighbouring page
// numbers are neighbours in memory within a layer. base is 64-byte aligned.
struct KvLayer {
  std::byte* base = nullptr;  // page 0 of this layer
  KvPageShape shape;
};

// The rows of ONE sequence in one step (a step with several sequences makes one of these for each). Row indices count within q, out, positions.
struct AttentionArgs {
  const float* q = nullptr;  // [T][H * D], rotated positions already applied
  size_t q_stride = 0;       // floats from row to row
  float* out = nullptr;      // [T][H * D]; may be the same memory as q
  size_t out_stride = 0;
  const int32_t* positions = nullptr;  // [T] index of the row's own slot in its sequence; consecutive ascending within a call
  const uint32_t* pages = nullptr;     // block table of the sequence in this group: physical page of position / 32
  KvLayer cache;
  uint32_t heads = 0;            // H, a multiple of G; query head h reads KV head h / (H / G)
  uint32_t window = 0;           // 0: all earlier tokens; else a token sees itself and window - 1 before it
  float scale = 1.0f;            // multiplies q . k
  float cap = 0.0f;              // 0: none; else s = cap * tanh(s / cap)
  const float* sinks = nullptr;  // optional [H]
  // [T 2] slots that see each other both ways, [first, end) as StepParams::row_span; null: every row stands alone (causal). Spans do not overlap,
  // so what rows see moves forward from row to row.
  const uint32_t* row_spans = nullptr;
};

// Slots that a row at slot `slot` sees: [first, end). Equation: Attention in ir/op.h. Always inlined, as simd/common.h asks.
struct SlotRange {
  int32_t first = 0, end = 0;
};
[[gnu::always_inline]] constexpr SlotRange seen_slots(int32_t slot, const uint32_t* row_span, uint32_t window) {
  const int64_t low = window == 0 ? 0 : static_cast<int64_t>(slot) - window + 1;
  SlotRange seen{low < 0 ? 0 : static_cast<int32_t>(low), slot + 1};
  if (row_span == nullptr) return seen;
  const auto end = static_cast<int32_t>(row_span[1]);
  return {seen.first, end > seen.end ? end : seen.end};
}

// Spans of 256 that rows see which together see the slots `seen`: [first, end).
struct SpanRange {
  uint32_t first = 0, end = 0;
};
[[gnu::always_inline]] constexpr SpanRange attention_spans(SlotRange seen) {
  return {static_cast<uint32_t>(seen.first) / kSpanTokens, static_cast<uint32_t>(seen.end - 1) / kSpanTokens + 1};
}

// A partial result: m, l, 14 unused, acc[D rounded up to 16].
constexpr size_t attention_partial_floats(uint32_t head_size) { return 16 + round_up(head_size, 16); }
// Partial results of rows [t0, t1) of one KV head: record ((t - t0) * (H / G) + h) * spans + (s - first_span).
struct AttentionPartials {
  float* data = nullptr;  // 64-byte aligned, (t1 - t0) * (H / G) * spans records
  uint32_t first_span = 0;
  uint32_t spans = 0;
};

// Scratch of one running task, whatever it is; 64-byte aligned.
size_t attention_scratch_bytes(const KvPageShape& shape, uint32_t heads);

// Dense attention: rows of a step attend to the rows of their own range. All operands are [T][H * D], `stride` floats from row to row.
struct DenseAttentionArgs {
  const float *q = nullptr, *k = nullptr, *v = nullptr;
  float* out = nullptr;
  size_t stride = 0;
  uint32_t heads = 0, head_size = 0;
  float scale = 1.0f;
  float* packed = nullptr;  // [H][dense_head_floats], 64-byte aligned: what dense_pack writes and dense_attention reads
  uint32_t capacity = 0;    // rows that `packed` has room for
};

// Rows [row0, row1) of the range [first, end): at most kDenseTileRows, beginning a multiple of 32 rows after `first`.
struct RangeTile {
  uint32_t row0 = 0, row1 = 0, first = 0, end = 0;
};
inline constexpr uint32_t kDenseTileBlocks = 3;
inline constexpr uint32_t kDenseTileRows = 32 * kDenseTileBlocks;  // a multiple of the register block (6) and of a key block (32)

// Packed keys of one head, and keys and values; room for readers of whole vectors behind each.
[[gnu::always_inline]] constexpr size_t dense_key_floats(uint32_t rows, uint32_t head_size) {
  return (size_t{rows} * head_size + 32 + 15) / 16 * 16;
}
[[gnu::always_inline]] constexpr size_t dense_head_floats(uint32_t rows, uint32_t head_size) {
  return 2 * dense_key_floats(rows, head_size);
}
// Scratch of one running task of dense_attention; 64-byte aligned.
size_t dense_scratch_bytes(uint32_t head_size);

struct CpuAttentionKernels {
  const char* name;  // "avx512"

  // x [rows][heads * D], in place, x_stride floats from row to row. table [rows][dims]: cos of each pair, then sin of each pair (see rope.h).
  void (*rope)(float* x, size_t x_stride, const float* table, uint32_t rows, uint32_t heads, uint32_t head_size, uint32_t dims,
               RopeStyle style);

  // k, v [rows][G * D] of one sequence into its pages: row t goes to slot positions[t] % 32 of page pages[positions[t] / 32].
  void (*kv_write)(const KvLayer& cache, const uint32_t* pages, const int32_t* positions, const float* k, const float* v, size_t kv_stride,
                   uint32_t rows);

  // All spans of rows [t0, t1) for the query heads of KV head g, straight to out.
  void (*attention)(const AttentionArgs& args, uint32_t t0, uint32_t t1, uint32_t g, std::byte* scratch);
  // Spans [s0, s1) of the same, to partial results; then, when every span is done, the merge to out.
  void (*attention_partial)(const AttentionArgs& args, uint32_t t0, uint32_t t1, uint32_t g, uint32_t s0, uint32_t s1,
                            const AttentionPartials& partials, std::byte* scratch);
  void (*attention_merge)(const AttentionArgs& args, uint32_t t0, uint32_t t1, uint32_t g, const AttentionPartials& partials,
                          std::byte* scratch);

  // Rows 32 block and up to 31 more of a tile into `packed`, block < kDenseTileBlocks; when all of a range are there, the attention of its tiles.
  void (*dense_pack)(const DenseAttentionArgs& args, const RangeTile& tile, uint32_t block);
  void (*dense_attention)(const DenseAttentionArgs& args, const RangeTile& tile, uint32_t head, std::byte* scratch);
};

// The tables compiled in; null where the target cannot have one. Whether the machine has the instructions is for the caller to ask (dispatch).
const CpuAttentionKernels* attention_kernels_generic();
const CpuAttentionKernels* attention_kernels_avx2();    // AVX2, FMA, F16C
const CpuAttentionKernels* attention_kernels_avx512();  // AVX-512 F, BW, DQ, VL
const CpuAttentionKernels* attention_kernels_neon();

}  // namespace kl::cpu
