// Barriers: an op needs one before it when it reads what an op since the last barrier wrote, or writes what one read or wrote. Memory is the arena's
// byte ranges and the KV pools (an attention reads the pool its layer's kv_write wrote).
#include <algorithm>

#include "plan/lower.h"

namespace kl {
namespace {

struct Range {
  uint64_t begin = 0, end = 0;
  bool overlaps(const Range& o) const { return begin < o.end && o.begin < end; }
};

bool any_overlap(const std::vector<Range>& a, const std::vector<Range>& b) {
  return std::any_of(a.begin(), a.end(),
                     [&](const Range& x) { return std::any_of(b.begin(), b.end(), [&](const Range& y) { return x.overlaps(y); }); });
}

// Caches stand behind the arena in one address space: one byte per layer's cache is enough to tell them apart.
Range cache_range(const Plan& plan, KvRef ref) {
  const uint64_t at = plan.arena_bytes + uint64_t{ref.group} * 65536 + ref.layer;
  return {at, at + 1};
}

struct Touched {
  std::vector<Range> reads, writes;
};

Touched touched(const Plan& plan, const PlannedOp& op) {
  Touched t;
  const auto range = [&](Value v) { return Range{plan.value_offset[v.id], plan.value_offset[v.id] + plan.value_bytes(v)}; };
  for (const Value v : inputs(op.op)) t.reads.push_back(range(v));
  for (const Value v : outputs(op.op)) t.writes.push_back(range(v));
  if (op.support.scratch_bytes > 0) t.writes.push_back({op.scratch_offset, op.scratch_offset + op.support.scratch_bytes});
  if (const auto* o = std::get_if<KvWrite>(&op.op)) t.writes.push_back(cache_range(plan, o->cache));
  if (const auto* o = std::get_if<NormQkvRope>(&op.op)) t.writes.push_back(cache_range(plan, o->cache));
  if (const auto* o = std::get_if<Attention>(&op.op)) t.reads.push_back(cache_range(plan, o->cache));
  return t;
}

}  // namespace

void find_hazards(Plan& plan) {
  Touched since;
  for (PlannedOp& op : plan.ops) {
    const Touched now = touched(plan, op);
    op.barrier = any_overlap(now.reads, since.writes) || any_overlap(now.writes, since.writes) || any_overlap(now.writes, since.reads);
    const bool several_stages = std::any_of(op.support.stages.begin(), op.support.stages.end(),
                                            [&](const Stage& s) { return s.barrier && &s != &op.support.stages.front(); });
    if (op.barrier || several_stages) since = {};  // a barrier between an op's stages also orders everything before it
    since.reads.insert(since.reads.end(), now.reads.begin(), now.reads.end());
    since.writes.insert(since.writes.end(), now.writes.begin(), now.writes.end());
  }
}

}  // namespace kl
