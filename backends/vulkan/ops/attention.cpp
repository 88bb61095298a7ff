// attention over the paged cache, and dense_attention. For many rows a workgroup takes a row's head through all its spans of 256 keys; for few, each span has a
// workgroup (an indirect dispatch: how many spans there are is known on the device) and a second stage merges. Both give the same bits.
#include <algorithm>

#include "core/checked.h"
#include "vulkan/ops/ops.h"
#include "vulkan/ops/stages.h"

namespace kl::vulkan {
namespace {

constexpr uint32_t kSplitRows = 4;  // buckets up to this one give every span a workgroup
constexpr uint32_t kSpan = 256;     // shaders/include/softmax_spans.glsl

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
  if (const std::string reason = kv_refusal(c, o.cache, o.kv_heads, o.head_size); !reason.empty()) return Refusal{reason};
  Support s;
  s.kernel = kv_layout_name(c.config.kv);
  use_vector(s, o.sinks);
  if (!splits(c.config)) {
    s.stages = {{"rows"}};
    return s;
  }
  s.stages = {{"spans"}, {"merge"}};
  s.scratch_bytes = partial_bytes(c.config, o);
  if (s.scratch_bytes > c.max_range) return refuse("partial results exceed a binding");
  return s;
}

Status bind(const Op& op, const BindContext& c, Dispatches& out) {
  const auto& o = std::get<Attention>(op);
  const RunConfig& config = c.plan.config;
  const bool split = splits(config);
  KL_ASSIGN(const BufferRange sinks, c.weight(o.sinks));
  const BufferRange partial = split ? c.scratch(0, partial_bytes(config, o)) : BufferRange{};
  Dispatch d;
  d.variant = {Shader::attention, {static_cast<uint32_t>(config.kv), split ? 1u : 0u}};
  d.buffers = {c.value(o.q), c.kv_layer(o.cache), split ? partial : c.value(o.out), sinks};
  d.push = kv_push(c, o.cache);
  d.push.insert(d.push.end(), {o.heads, o.kv_heads, o.head_size, o.window, c.word(c.params().row_span()), o.sinks.valid() ? 1u : 0u,
                               most_spans(config, o.window), bits(o.scale), bits(o.cap)});
  d.grid[0] = o.heads;
  d.grid[1] = config.rows;
  if (split) d.kind = c.attention_kind({o.window, o.heads});
  out.push_back(d);
  if (!split) return {};
  d.variant = {Shader::attention_merge, {static_cast<uint32_t>(config.kv), 0}};
  d.buffers = {partial, c.value(o.out), sinks};
  d.kind = -1;
  d.stage = 1;
  out.push_back(std::move(d));
  return {};
}

Answer support_dense(const Op& op, const SupportContext&) {
  const auto& o = std::get<DenseAttention>(op);
  if (o.head_size > 1024) return refuse("head size %u is more than 1024", o.head_size);
  Support s;
  s.stages = {{"rows"}};
  return s;
}

Status bind_dense(const Op& op, const BindContext& c, Dispatches& out) {
  const auto& o = std::get<DenseAttention>(op);
  Dispatch d;
  d.variant = {Shader::dense_attention};
  d.buffers = {c.value(o.q), c.value(o.k), c.value(o.v), c.value(o.out)};
  d.push = {c.word(c.params().row_range(o.segmentation)), o.heads, o.head_size, bits(o.scale)};
  d.grid[0] = o.heads;
  d.grid[1] = c.plan.config.rows;
  out.push_back(std::move(d));
  return {};
}

}  // namespace

const VulkanKernel kAttention = {"attention", "attention", support, bind};
const VulkanKernel kDenseAttention = {"dense_attention", "dense_attention", support_dense, bind_dense};

}  // namespace kl::vulkan
