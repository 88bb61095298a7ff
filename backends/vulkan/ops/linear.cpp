// linear and the fused ops around one: y = (residual +) norm?(x) w' (+ bias), act(norm(x) gate') * (norm(x) up'), norm(select(x)) head'.
// A row of the table for each way to multiply (stages.h).
// Stages: norm into scratch, where there is one; rounding to the plan's activation format, where it is not f32; the product.
#include "ir/linear_operands.h"
#include "vulkan/ops/ops.h"
#include "vulkan/ops/stages.h"

namespace kl::vulkan {
namespace {

template <Product kProduct>
Answer support(const Op& op, const SupportContext& c) {
  const LinearOperands o = linear_operands(op);
  if (const std::string reason = product_refusal(c, kProduct, o.w, c.max_rows(o.out)); !reason.empty()) return Refusal{reason};
  if (const std::string reason = matrix_refusal(c, o.w); !reason.empty()) return Refusal{reason};
  if (o.up.valid() && c.info(o.up).format != c.info(o.w).format)
    return refuse("gate is %s and up is %s", name(c.info(o.w).format), name(c.info(o.up).format));
  Support s;
  s.activations = activations_for(c, o.w);
  use_matrix(c, s, o.w);
  if (o.up.valid()) use_matrix(c, s, o.up);
  use_vector(s, o.gain);
  use_vector(s, o.bias);
  const uint64_t bytes = rows_bytes(c.max_rows(o.out), c.info(o.w).k);
  if (o.gain.valid()) {
    s.stages.push_back({o.selects ? "select+norm" : "norm"});
    s.scratch_bytes += bytes;
  }
  if (s.activations != ActivationFormat::f32) {
    s.stages.push_back({"round"});
    s.scratch_bytes += bytes;
  }
  s.stages.push_back({o.up.valid() ? "gate_up" : "linear"});
  return s;
}

template <Product kProduct>
Status bind(const Op& op, const BindContext& c, Dispatches& out) {
  const LinearOperands o = linear_operands(op);
  const uint32_t k = c.info(o.w).k;
  LinearStage l;
  l.product = kProduct;
  l.rows = c.rows(o.out);
  l.x = c.value(o.x);
  const uint64_t bytes = rows_bytes(l.rows.most, k);
  const auto buffer = [&](uint64_t at) { return c.scratch(at, uint64_t{l.rows.most} * k * 4); };
  uint32_t stage = 0;
  uint64_t used = 0;
  if (o.gain.valid()) {
    NormStage n;
    n.x = l.x;
    n.out = buffer(used);
    n.rows = l.rows;
    n.gain = o.gain;
    n.selects = o.selects;
    n.width = k;
    n.eps = o.eps;
    KL_TRY(add_norm(c, stage++, n, out));
    l.x = n.out;
    used += bytes;
  }
  if (c.planned.support.activations != ActivationFormat::f32) {
    add_round(c, stage++, kProduct, l.x, buffer(used), l.rows, k, out);
    l.x = buffer(used);
  }
  l.out = c.value(o.out);
  l.w = o.w;
  l.up = o.up;
  l.bias = o.bias;
  l.has_residual = o.residual.valid();
  l.residual = c.value(o.residual);
  l.activation = o.activation;
  return add_linear(c, stage, l, out);
}

constexpr Products rows_of(const char* op, const char* matrix, const char* dot) {
  return {VulkanKernel{matrix, op, support<Product::matrix>, bind<Product::matrix>},
          VulkanKernel{dot, op, support<Product::dot>, bind<Product::dot>},
          VulkanKernel{op, op, support<Product::plain>, bind<Product::plain>}};
}

}  // namespace

constinit const Products kLinear = rows_of("linear", "linear.matrix", "linear.dot");
constinit const Products kNormLinear = rows_of("norm_linear", "norm_linear.matrix", "norm_linear.dot");
constinit const Products kLinearResidual = rows_of("linear_residual", "linear_residual.matrix", "linear_residual.dot");
constinit const Products kNormGateUp = rows_of("norm_gate_up", "norm_gate_up.matrix", "norm_gate_up.dot");
constinit const Products kSelectNormHead = rows_of("select_norm_head", "select_norm_head.matrix", "select_norm_head.dot");

}  // namespace kl::vulkan
