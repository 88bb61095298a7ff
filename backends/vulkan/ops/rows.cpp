// The ops that go over rows element by element: gather_rows, norm, norm_add, activate, add, select_rows, sample, pool, patchify.
#include <algorithm>

#include "core/checked.h"
#include "vulkan/ops/ops.h"
#include "vulkan/ops/stages.h"

namespace kl::vulkan {
namespace {

uint32_t groups_of(uint32_t items) { return static_cast<uint32_t>(ceil_div(items, 64)); }

// One stage, named like the op, over vectors only.
Answer support_plain(const Op& op, const SupportContext&) {
  Support s;
  s.stages = {{name(op)}};
  for (const WeightId w : weights(op)) use_vector(s, w);
  return s;
}

Answer support_gather(const Op& op, const SupportContext& c) {
  const auto& o = std::get<GatherRows>(op);
  const WeightInfo& w = c.info(o.table);
  if (w.k % kl::info(w.format).block_elements != 0) return refuse("M = %u is not a multiple of %u", w.k, kl::info(w.format).block_elements);
  if (uint64_t{row_layout(w.format, w.k).row_words} * 256 > c.max_range) return refuse("64 rows of the table exceed a binding");
  Support s;
  s.stages = {{"gather"}};
  use_matrix(c, s, o.table);
  return s;
}

Status bind_gather(const Op& op, const BindContext& c, Dispatches& out) {
  const auto& o = std::get<GatherRows>(op);
  const WeightInfo& w = c.info(o.table);
  const RowLayout layout = row_layout(w.format, w.k);
  const uint64_t row_bytes = uint64_t{layout.row_words} * 4;
  KL_ASSIGN(const BufferRange table, c.weight(o.table));
  const StepParams p = c.params();
  const bool token = o.index == RowIndex::token;
  const uint32_t index_at = token ? c.word(p.tokens()) : c.word(p.positions()) + static_cast<uint32_t>(o.index) - 1;
  const uint32_t feature_rows = o.features && c.bindings.features != nullptr ? c.plan.config.limits.feature_rows : 0;
  BufferRange features = c.step();
  if (feature_rows > 0)
    features = {static_cast<const DeviceMemory*>(c.bindings.features)->buffer(), 0, uint64_t{feature_rows} * w.k * sizeof(float)};
  const auto part = static_cast<uint32_t>(std::min<uint64_t>(w.n, c.max_range / row_bytes / 64 * 64));
  for (uint32_t first = 0; first < w.n; first += part) {
    const uint32_t count = std::min(part, w.n - first);
    Dispatch d;
    d.variant = {Shader::gather_rows, {static_cast<uint32_t>(w.format), 0}};
    d.buffers = {{table.buffer, table.offset + first * row_bytes, count * row_bytes}, c.value(o.out), features, c.fed()};
    d.push = {layout.high_at, layout.scale_at, index_at, token ? 1u : 3u, w.k,          layout.row_words / 4,
              first,          count,           w.n,      feature_rows,    bits(o.scale)};
    d.grid[0] = groups_of(static_cast<uint32_t>(ceil_div(w.k, 8)));
    d.grid[1] = c.plan.config.rows;
    out.push_back(std::move(d));
  }
  return {};
}

Status bind_norm(const Op& op, const BindContext& c, Dispatches& out) {
  const auto& o = std::get<Norm>(op);
  NormStage n;
  n.x = c.value(o.x);
  n.out = c.value(o.out);
  n.rows = c.rows(o.out);
  n.gain = o.gain;
  n.bias = o.bias;
  n.layer = o.kind == NormKind::layer;
  n.parts = o.parts;
  n.width = c.width(o.x) / o.parts;
  n.eps = o.eps;
  return add_norm(c, 0, n, out);
}

Status bind_norm_add(const Op& op, const BindContext& c, Dispatches& out) {
  const auto& o = std::get<NormAdd>(op);
  NormStage n;
  n.x = c.value(o.x);
  n.out = c.value(o.out);
  n.rows = c.rows(o.out);
  n.gain = o.gain;
  n.residual = c.value(o.residual);
  n.has_residual = true;
  n.width = c.width(o.x);
  n.eps = o.eps;
  return add_norm(c, 0, n, out);
}

void add_elementwise(const BindContext& c, Value a, Value b, Value result, uint32_t kind, Activation activation, Dispatches& out) {
  const RowClass rows = c.rows(result);
  Dispatch d;
  d.variant = {Shader::elementwise};
  d.buffers = {c.value(a), c.value(b), c.value(result)};
  d.push = {rows.rows_of, rows.pool, c.width(result), kind, static_cast<uint32_t>(activation)};
  d.grid[0] = groups_of(c.width(result));
  d.grid[1] = rows.most;
  out.push_back(std::move(d));
}

Status bind_activate(const Op& op, const BindContext& c, Dispatches& out) {
  const auto& o = std::get<Activate>(op);
  add_elementwise(c, o.gate, o.up, o.out, o.up.valid() ? 2 : 1, o.activation, out);
  return {};
}

Status bind_add(const Op& op, const BindContext& c, Dispatches& out) {
  const auto& o = std::get<Add>(op);
  add_elementwise(c, o.a, o.b, o.out, 0, Activation::none, out);
  return {};
}

Status bind_select(const Op& op, const BindContext& c, Dispatches& out) {
  const auto& o = std::get<SelectRows>(op);
  Dispatch d;
  d.variant = {Shader::select_rows};
  d.buffers = {c.value(o.x), c.value(o.out)};
  d.push = {c.width(o.x), c.word(c.params().output_rows())};
  d.grid[0] = groups_of(c.width(o.x));
  d.grid[1] = c.plan.config.outputs;
  out.push_back(std::move(d));
  return {};
}

Status bind_sample(const Op& op, const BindContext& c, Dispatches& out) {
  const auto& o = std::get<Sample>(op);
  Dispatch d;
  d.variant = {Shader::sample};
  d.buffers = {c.value(o.logits), c.value(o.out)};
  const RowClass rows = c.rows(o.out);
  d.push = {rows.rows_of, rows.pool, c.width(o.logits), c.word(c.params().draws())};
  d.grid[0] = rows.most;
  out.push_back(std::move(d));
  return {};
}

Status bind_pool(const Op& op, const BindContext& c, Dispatches& out) {
  const auto& o = std::get<Pool>(op);
  Dispatch d;
  d.variant = {Shader::pool};
  d.buffers = {c.value(o.x), c.value(o.out)};
  d.push = {c.width(o.x), o.count, o.kind == PoolKind::mean ? 1u : 0u};
  d.grid[0] = groups_of(c.width(o.out));
  d.grid[1] = c.rows(o.out).most;
  out.push_back(std::move(d));
  return {};
}

Status bind_patchify(const Op& op, const BindContext& c, Dispatches& out) {
  const auto& o = std::get<Patchify>(op);
  if (c.bindings.pixels == nullptr) return error(Code::internal, "patchify without pixels");
  std::vector<float> levels;
  for (int channel = 0; channel < 3; ++channel) {
    for (int byte = 0; byte < 256; ++byte)
      levels.push_back(
          static_cast<float>((byte / 255.0 - static_cast<double>(o.mean[channel])) / static_cast<double>(o.deviation[channel])));
  }
  KL_ASSIGN(const BufferRange table, c.table(levels));
  Dispatch d;
  d.variant = {Shader::patchify};
  d.buffers = {{static_cast<const DeviceMemory*>(c.bindings.pixels)->buffer(), 0, round_up(c.plan.config.limits.pixel_bytes, 4)},
               c.value(o.out),
               table};
  d.push = {c.word(c.params().row_pixel()), o.size};
  d.grid[0] = groups_of(3 * o.size * o.size);
  d.grid[1] = c.plan.config.rows;
  out.push_back(std::move(d));
  return {};
}

}  // namespace

const VulkanKernel kGatherRows = {"gather_rows", "gather_rows", support_gather, bind_gather};
const VulkanKernel kNorm = {"norm", "norm", support_plain, bind_norm};
const VulkanKernel kNormAdd = {"norm_add", "norm_add", support_plain, bind_norm_add};
const VulkanKernel kActivate = {"activate", "activate", support_plain, bind_activate};
const VulkanKernel kAdd = {"add", "add", support_plain, bind_add};
const VulkanKernel kSelectRows = {"select_rows", "select_rows", support_plain, bind_select};
const VulkanKernel kSample = {"sample", "sample", support_plain, bind_sample};
const VulkanKernel kPool = {"pool", "pool", support_plain, bind_pool};
const VulkanKernel kPatchify = {"patchify", "patchify", support_plain, bind_patchify};

}  // namespace kl::vulkan
