// attention over the paged cache, and dense_attention. For few rows every span of 256 keys of a row has a block and the last of a row's merges them; for many a block walks
// the spans of the rows it takes. Both give the same bits.
#include <algorithm>

#include "core/checked.h"
#include "cuda/kernels/attention.h"
#include "cuda/ops/ops.h"
#include "cuda/ops/stages.h"

namespace kl::cuda {
namespace {

constexpr uint32_t kSplitRows = 8;  // buckets up to this one give every span a block

bool splits(const RunConfig& config) { return config.rows <= kSplitRows; }

// Spans that one row can see.
uint32_t most_spans(const RunConfig& config, uint32_t window) {
  const auto all = static_cast<uint32_t>(ceil_div(uint64_t{config.limits.pages} * kKvPageTokens, kSpan));
  if (window == 0) return std::max(1u, all);
  // A row's span of slots may end behind its window, by no more than the rows of a step.
  const auto seen = static_cast<uint32_t>(ceil_div(uint64_t{window} + config.limits.rows, kSpan)) + 1;
  return std::max(1u, std::min(all, seen));
}

uint64_t partial_bytes(const RunConfig& config, const Attention& o) {
  return uint64_t{config.rows} * o.heads * most_spans(config, o.window) * (o.head_size + 2) * sizeof(float);
}

Answer support(const Op& op, const SupportContext& c) {
  const auto& o = std::get<Attention>(op);
  if (const std::string reason = kv_refusal(c, o.kv_heads, o.head_size); !reason.empty()) return Refusal{reason};
  Support s;
  s.kernel = kv_layout_name(c.config.kv);
  use_vector(s, o.sinks);
  if (!splits(c.config)) {
    s.stages = {{"rows"}};
    return s;
  }
  if (most_spans(c.config, o.window) > 65535) return refuse("more than 65,535 spans of %u keys", kSpan);
  s.stages = {{"spans+merge"}};
  s.scratch_bytes = partial_bytes(c.config, o);
  return s;
}

Status bind(const Op& op, const BindContext& c, Launches& out) {
  const auto& o = std::get<Attention>(op);
  const RunConfig& config = c.plan.config;
  const bool split = splits(config);
  AttentionArgs a{};
  a.q = c.value(o.q);
  a.y = c.value(o.out);
  a.partial = split ? reinterpret_cast<float*>(c.scratch(0)) : nullptr;
  KL_ASSIGN(a.sinks, c.vector(o.sinks));
  a.pages = kv_pages(c, o.cache);
  a.row_span = c.step(c.params().row_span());
  a.rows = c.rows(o.out);
  a.heads = o.heads;
  a.kv_heads = o.kv_heads;
  a.head_size = o.head_size;
  a.queries = queries_of(o.head_size);
  a.window = o.window;
  a.spans = most_spans(config, o.window);
  a.scale = o.scale;
  a.cap = o.cap;
  const uint32_t most = a.queries, group = o.heads / o.kv_heads, parts = groups_of(group, most);
  if (split) {
    KL_ASSIGN(a.counters, c.counters(config.rows * o.kv_heads * parts));
  }
  Launch l = make_launch(std::string(split ? "attention__split_" : "attention__walk_") + name(config.kv), a, kAttentionThreads);
  l.grid[0] = o.kv_heads * parts;
  l.grid[1] = split ? config.rows : groups_of(config.rows, parts > 1 ? 1 : most / group);
  l.grid[2] = split ? a.spans : 1;
  out.push_back(std::move(l));
  return {};
}

Answer support_dense(const Op& op, const SupportContext& c) {
  const auto& o = std::get<DenseAttention>(op);
  if (o.head_size > 1024 || o.head_size % 4 != 0) return refuse("head size %u is not a multiple of 4 up to 1024", o.head_size);
  if (o.segmentation >= c.config.limits.segmentations)
    return refuse("segmentation %u of %u", o.segmentation, c.config.limits.segmentations);
  Support s;
  s.stages = {{"rows"}};
  return s;
}

Status bind_dense(const Op& op, const BindContext& c, Launches& out) {
  const auto& o = std::get<DenseAttention>(op);
  DenseAttentionArgs a{};
  a.q = c.value(o.q);
  a.k = c.value(o.k);
  a.v = c.value(o.v);
  a.y = c.value(o.out);
  a.row_range = c.step(c.params().row_range(o.segmentation));
  a.rows = c.rows(o.out);
  a.heads = o.heads;
  a.head_size = o.head_size;
  a.queries = queries_of(o.head_size);
  a.scale = o.scale;
  Launch l = make_launch("dense_attention", a, kAttentionThreads);
  l.grid[0] = o.heads;
  l.grid[1] = groups_of(c.plan.config.rows, a.queries);
  out.push_back(std::move(l));
  return {};
}

}  // namespace

const CudaKernel kAttention = {"attention", "attention", support, bind};
const CudaKernel kDenseAttention = {"dense_attention", "dense_attention", support_dense, bind_dense};

}  // namespace kl::cuda
