// The ops that go over rows element by element: gather_rows, norm, norm_add, activate, add, select_rows.
#include "core/checked.h"
#include "cuda/kernels/elementwise.h"
#include "cuda/kernels/gather_rows.h"
#include "cuda/kernels/select_rows.h"
#include "cuda/ops/ops.h"
#include "cuda/ops/stages.h"

namespace kl::cuda {
namespace {

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
  Support s;
  s.stages = {{"gather"}};
  use_matrix(c, s, o.table);
  return s;
}

Status bind_gather(const Op& op, const BindContext& c, Launches& out) {
  const auto& o = std::get<GatherRows>(op);
  const StepParams p = c.params();
  const bool token = o.index == RowIndex::token;
  GatherRowsArgs a{};
  KL_ASSIGN(a.table, c.matrix(o.table));
  a.y = c.value(o.out);
  a.index = c.step(token ? p.tokens() : p.positions() + static_cast<uint32_t>(o.index) - 1);
  a.stride = token ? 1 : 3;
  a.features = o.features ? c.features() : nullptr;
  a.fed = c.fed();
  a.feature_rows = a.features != nullptr ? c.plan.config.limits.feature_rows : 0;
  a.rows = c.rows(o.out);
  a.scale = o.scale;
  Launch l = make_launch(std::string("gather_rows__") + kl::name(c.info(o.table).format), a, kGatherRowsThreads);
  l.grid[0] = groups_of(ceil_div(a.table.k, 32) * 4, kGatherRowsThreads);
  l.grid[1] = c.most_rows(o.out);
  out.push_back(std::move(l));
  return {};
}

Status bind_norm(const Op& op, const BindContext& c, Launches& out) {
  const auto& o = std::get<Norm>(op);
  NormStage n;
  n.x = c.value(o.x);
  n.out = c.value(o.out);
  n.rows = c.rows(o.out);
  n.most_rows = c.most_rows(o.out);
  n.gain = o.gain;
  n.bias = o.bias;
  n.layer = o.kind == NormKind::layer;
  n.parts = o.parts;
  n.width = c.width(o.x) / o.parts;
  n.eps = o.eps;
  return add_norm(c, 0, n, out);
}

Status bind_norm_add(const Op& op, const BindContext& c, Launches& out) {
  const auto& o = std::get<NormAdd>(op);
  NormStage n;
  n.x = c.value(o.x);
  n.out = c.value(o.out);
  n.rows = c.rows(o.out);
  n.most_rows = c.most_rows(o.out);
  n.gain = o.gain;
  n.residual = c.value(o.residual);
  n.width = c.width(o.x);
  n.eps = o.eps;
  return add_norm(c, 0, n, out);
}

void add_elementwise(const BindContext& c, const char* kernel, Value a, Value b, Value result, Activation activation, Launches& out) {
  const ElementwiseArgs args{c.value(a), c.value(b), c.value(result), c.rows(result), c.width(result), activation};
  Launch l = make_launch(kernel, args, kElementwiseThreads);
  l.grid[0] = groups_of(args.width, 4 * kElementwiseThreads);
  l.grid[1] = c.most_rows(result);
  out.push_back(std::move(l));
}

Status bind_activate(const Op& op, const BindContext& c, Launches& out) {
  const auto& o = std::get<Activate>(op);
  add_elementwise(c, "elementwise__activate", o.gate, o.up, o.out, o.activation, out);
  return {};
}

Status bind_add(const Op& op, const BindContext& c, Launches& out) {
  const auto& o = std::get<Add>(op);
  add_elementwise(c, "elementwise__add", o.a, o.b, o.out, Activation::none, out);
  return {};
}

Status bind_select(const Op& op, const BindContext& c, Launches& out) {
  const auto& o = std::get<SelectRows>(op);
  const SelectRowsArgs args{c.value(o.x), c.value(o.out), c.step(c.params().output_rows()), c.rows(o.out), c.width(o.x)};
  Launch l = make_launch("select_rows", args, kSelectRowsThreads);
  l.grid[0] = groups_of(args.width, kSelectRowsThreads);
  l.grid[1] = c.most_rows(o.out);
  out.push_back(std::move(l));
  return {};
}

}  // namespace

const CudaKernel kGatherRows = {"gather_rows", "gather_rows", support_gather, bind_gather};
const CudaKernel kNorm = {"norm", "norm", support_plain, bind_norm};
const CudaKernel kNormAdd = {"norm_add", "norm_add", support_plain, bind_norm_add};
const CudaKernel kActivate = {"activate", "activate", support_plain, bind_activate};
const CudaKernel kAdd = {"add", "add", support_plain, bind_add};
const CudaKernel kSelectRows = {"select_rows", "select_rows", support_plain, bind_select};

}  // namespace kl::cuda
