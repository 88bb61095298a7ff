// How the attention of one step is cut into tasks. A pure function of row counts, positions, spans and threads; no choice here changes a bit.
#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "cpu/isa/attention_kernels.h"

namespace kl::cpu {

// One sequence's rows in the step: consecutive positions.
struct SequenceRows {
  uint32_t first_row = 0;  // in the step
  uint32_t rows = 0;
  int32_t first_position = 0;
  const uint32_t* row_spans = nullptr;  // [rows 2], or null (AttentionArgs::row_spans)
};

struct AttentionShape {
  uint32_t kv_heads = 0, group = 0 /* H / G */, head_size = 0, window = 0;
};

inline constexpr uint32_t kDirect = std::numeric_limits<uint32_t>::max();

// Rows [row0, row1) (in the step) of one sequence and one KV head; spans [span0, span1).
struct AttentionTask {
  uint32_t sequence = 0, row0 = 0, row1 = 0, kv_head = 0;
  uint32_t span0 = 0, span1 = 0;
  uint32_t partial =
      kDirect;        // kDirect: attention(); else the index of the AttentionMerge whose partials it fills with attention_partial()
  uint64_t cost = 0;  // pairs of query and key
};

// Partial results to be merged when all tasks are done.
struct AttentionMerge {
  uint32_t sequence = 0, row0 = 0, row1 = 0, kv_head = 0;
  uint32_t first_span = 0, spans = 0;
  size_t partial_offset = 0;  // floats into the step's partial buffer
};

struct AttentionSplit {
  std::vector<AttentionTask> tasks;    // dearest first, to be claimed in this order
  std::vector<AttentionMerge> merges;  // run after all tasks, in any order
  size_t partial_floats = 0;
};

// Fills split (its vectors keep their capacity from step to step). threads >= 1.
void split_attention(std::span<const SequenceRows> sequences, const AttentionShape& shape, uint32_t threads, AttentionSplit& split);

// The most floats that any split of at most `rows` rows and `context` positions asks for: what a plan sets aside.
size_t attention_partial_floats_bound(const AttentionShape& shape, uint32_t rows, uint32_t context, uint32_t threads);

}  // namespace kl::cpu
