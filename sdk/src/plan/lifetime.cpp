// Arena layout: values and scratch with disjoint lifetimes share bytes. Placing intervals in order of size, largest first, each at the lowest
// offset free during its life, comes within a few per cent of the lower bound for straight-line programs (Pisarchyk and Lee, 2020).
#include <algorithm>

#include "core/checked.h"
#include "plan/lower.h"

namespace kl {
namespace {

constexpr uint64_t kAlign =
    256;  // what a GPU may ask of the offset of a binding (Vulkan's upper limit); more than a cache line and any load

struct Interval {
  uint64_t bytes = 0;
  uint32_t first = 0, last = 0;  // ops, inclusive
  uint64_t* offset = nullptr;
};

}  // namespace

uint64_t Plan::value_bytes(Value v) const {
  const ValueInfo& i = program.info(v);
  const uint64_t rows = i.rows == Rows::step ? config.rows : i.rows == Rows::outputs ? config.outputs : config.rows / program.pool;
  return rows * i.width * 4;
}

void assign_memory(Plan& plan) {
  plan.value_offset.assign(plan.program.values.size(), Plan::kNoOffset);
  std::vector<Interval> intervals(plan.program.values.size());
  std::vector<bool> used(plan.program.values.size(), false);
  for (uint32_t at = 0; at < plan.ops.size(); ++at) {
    for (const Value v : outputs(plan.ops[at].op)) {
      intervals[v.id] = {round_up(plan.value_bytes(v), kAlign), at, at, &plan.value_offset[v.id]};
      used[v.id] = true;
    }
    for (const Value v : inputs(plan.ops[at].op)) intervals[v.id].last = at;
  }
  // What the host reads after the step lives to its end.
  for (const Value v : {plan.program.logits, plan.program.greedy, plan.program.features}) {
    if (v.valid()) intervals[v.id].last = static_cast<uint32_t>(plan.ops.size());
  }
  std::vector<Interval> todo;
  for (size_t id = 0; id < intervals.size(); ++id) {
    if (used[id]) todo.push_back(intervals[id]);
  }
  for (uint32_t at = 0; at < plan.ops.size(); ++at) {
    PlannedOp& op = plan.ops[at];
    if (op.support.scratch_bytes > 0) todo.push_back({round_up(op.support.scratch_bytes, kAlign), at, at, &op.scratch_offset});
  }
  std::stable_sort(todo.begin(), todo.end(), [](const Interval& a, const Interval& b) { return a.bytes > b.bytes; });

  std::vector<Interval> placed;  // by offset
  for (Interval& item : todo) {
    uint64_t offset = 0;
    for (const Interval& other : placed) {
      if (other.last < item.first || item.last < other.first) continue;
      if (offset + item.bytes <= *other.offset) break;
      offset = std::max(offset, *other.offset + other.bytes);
    }
    *item.offset = offset;
    plan.arena_bytes = std::max(plan.arena_bytes, offset + item.bytes);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), item, [](const Interval& a, const Interval& b) { return *a.offset < *b.offset; }),
        item);
  }
}

}  // namespace kl
