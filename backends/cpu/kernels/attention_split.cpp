#include "cpu/kernels/attention_split.h"

#include <algorithm>

#include "cpu/kernels/attention_support.h"

namespace kl::cpu {
namespace {

constexpr uint64_t kTasksPerThread = 4;   // evens out what the costs below miss
constexpr uint64_t kLeastCost = 256 * 6;  // query-key pairs of a head: some 5 microseconds, 50 times a task's overhead
constexpr uint32_t kSplitRows = 4;        // only short rows of a sequence are split over spans: prompts have rows enough

uint32_t tile_rows(const AttentionShape& s) { return std::max<uint32_t>(1, kTileQueries / s.group); }

// Keys seen by rows at positions [first, first + rows), in all, as if each stood alone: rows that see each other both ways cost up to twice that in
// the first pages of a prompt and little more later, and tasks are small enough to even it out.
uint64_t keys(int64_t first, uint64_t rows, uint32_t window) {
  uint64_t sum = 0;
  if (window != 0) {
    const int64_t capped =
        std::max<int64_t>(0, first + static_cast<int64_t>(rows) - std::max<int64_t>(first, window));  // rows with a full window
    sum += static_cast<uint64_t>(capped) * window;
    rows -= static_cast<uint64_t>(capped);
  }
  return sum + rows * static_cast<uint64_t>(first + 1) + (rows == 0 ? 0 : rows * (rows - 1) / 2);
}

}  // namespace

void split_attention(std::span<const SequenceRows> sequences, const AttentionShape& shape, uint32_t threads, AttentionSplit& split) {
  split.tasks.clear();
  split.merges.clear();
  split.partial_floats = 0;
  uint64_t total = 0;
  for (const SequenceRows& s : sequences) total += keys(s.first_position, s.rows, shape.window) * shape.group * shape.kv_heads;
  const uint64_t target =
      threads <= 1 ? std::numeric_limits<uint64_t>::max() : std::max<uint64_t>(kLeastCost, total / (threads * kTasksPerThread));
  const bool few = threads > 1 && uint64_t{shape.kv_heads} * sequences.size() < threads * kTasksPerThread;
  const uint32_t tile = tile_rows(shape);
  for (uint32_t i = 0; i < sequences.size(); ++i) {
    const SequenceRows& s = sequences[i];
    for (uint32_t g = 0; g < shape.kv_heads; ++g) {
      for (uint32_t done = 0; done < s.rows;) {
        const int32_t position = s.first_position + static_cast<int32_t>(done);
        uint32_t rows = std::min(tile, s.rows - done);  // whole tiles, as many as the target allows
        while (done + rows < s.rows) {
          const uint32_t more = std::min(rows + tile, s.rows - done);
          if (keys(position, more, shape.window) * shape.group > target) break;
          rows = more;
        }
        const uint64_t cost = keys(position, rows, shape.window) * shape.group;
        const auto seen = [&](uint32_t row) {
          return seen_slots(s.first_position + static_cast<int32_t>(row), s.row_spans == nullptr ? nullptr : s.row_spans + size_t{2} * row,
                            shape.window);
        };
        const SpanRange spans = attention_spans({seen(done).first, seen(done + rows - 1).end});
        AttentionTask task{i, s.first_row + done, s.first_row + done + rows, g, spans.first, spans.end, kDirect, cost};
        const uint32_t count = spans.end - spans.first;
        const uint32_t pieces = few && s.rows <= kSplitRows ? static_cast<uint32_t>(std::min<uint64_t>(count, cost / target)) : 1;
        if (pieces > 1) {
          task.partial = static_cast<uint32_t>(split.merges.size());
          split.merges.push_back({i, task.row0, task.row1, g, spans.first, count, split.partial_floats});
          split.partial_floats += size_t{rows} * shape.group * count * attention_partial_floats(shape.head_size);
          for (uint32_t p = 0; p < pieces; ++p) {
            task.span0 = spans.first + static_cast<uint32_t>(uint64_t{count} * p / pieces);
            task.span1 = spans.first + static_cast<uint32_t>(uint64_t{count} * (p + 1) / pieces);
            task.cost = cost / pieces;
            split.tasks.push_back(task);
          }
        } else {
          split.tasks.push_back(task);
        }
        done += rows;
      }
    }
  }
  std::ranges::stable_sort(split.tasks, std::ranges::greater{}, &AttentionTask::cost);
}

size_t attention_partial_floats_bound(const AttentionShape& shape, uint32_t rows, uint32_t context, uint32_t threads) {
  if (threads <= 1) return 0;
  const size_t sequences = threads * kTasksPerThread / shape.kv_heads + 1;
  const size_t split_rows = std::min<size_t>(rows, sequences * kSplitRows);
  return split_rows * shape.kv_heads * shape.group * ceil_div(context, kSpanTokens) * attention_partial_floats(shape.head_size);
}

}  // namespace kl::cpu
