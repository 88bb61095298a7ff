// linear, norm_linear, linear_residual: y = (residual +) norm?(x) w' (+ bias), for both kinds of input.
// Stages: the input is normed and rounded into scratch (or neither), then panels of outputs are claimed by the team.
#include "cpu/ops/ops.h"
#include "cpu/ops/stages.h"
#include "ir/linear_operands.h"

namespace kl::cpu {
namespace {

template <bool q8>
Answer support(const Op& op, const SupportContext& c) {
  const LinearOperands o = linear_operands(op);
  if (const std::string reason = linear_refusal(c, o.w, q8); !reason.empty()) return Refusal{reason};
  Support s;
  s.kernel = c.isa;
  s.activations = linear_activations(c, o.w, q8);
  use_linear(c, s, o.w);
  use_vector(s, o.bias);
  use_vector(s, o.gain);
  if (s.activations != ActivationFormat::f32 || o.gain.valid()) {
    s.stages.push_back({o.gain.valid() ? (q8 ? "norm+quantize" : "norm") : (q8 ? "quantize" : "round")});
    s.scratch_bytes = activation_bytes(c, q8, max_rows(c, c.program.info(o.x).rows), c.info(o.w).k);
  }
  s.stages.push_back({"linear"});
  return s;
}

template <bool q8>
Status bind(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const LinearOperands o = linear_operands(op);
  const size_t k = c.info(o.w).k;
  const Rows row_class = c.rows(o.x);
  LinearStage stage;
  stage.parts = 1;
  stage.row_class = row_class;
  LinearArgs& a = stage.part[0];
  a.w = c.linear(o.w, o.bias);
  a.n = c.info(o.w).n;
  a.k = k;
  a.x = c.value(o.x);
  a.x_stride = c.width(o.x);
  a.y = c.value(o.out);
  a.y_stride = a.n;
  a.residual = c.value(o.residual);
  a.residual_stride = a.n;
  const ActivationFormat activations = c.planned.support.activations;
  if (activations != ActivationFormat::f32 || o.gain.valid()) {
    RowStage rows;
    rows.f16 = activations == ActivationFormat::f16;
    rows.kernels = &c.kernels;
    rows.row_class = row_class;
    rows.is_norm = o.gain.valid();
    rows.norm.x = a.x;
    rows.norm.x_stride = a.x_stride;
    rows.norm.gain = c.vector(o.gain);
    rows.norm.eps = o.eps;
    rows.norm.k = k;
    if (q8) {
      a.q8 = rows.norm.q8 = c.scratch();
    } else {
      rows.norm.y = reinterpret_cast<float*>(c.scratch());
      rows.norm.y_stride = k;
      a.x = rows.norm.y;
      a.x_stride = k;
    }
    out.push_back(row_launch(rows));
  }
  out.push_back(linear_launch(stage, c));
  return {};
}

}  // namespace

const CpuKernel kLinearQ8 = {"linear.q8", "linear", support<true>, bind<true>};
const CpuKernel kLinearF32 = {"linear.f32", "linear", support<false>, bind<false>};
const CpuKernel kNormLinearQ8 = {"norm_linear.q8", "norm_linear", support<true>, bind<true>};
const CpuKernel kNormLinearF32 = {"norm_linear.f32", "norm_linear", support<false>, bind<false>};
const CpuKernel kLinearResidualQ8 = {"linear_residual.q8", "linear_residual", support<true>, bind<true>};
const CpuKernel kLinearResidualF32 = {"linear_residual.f32", "linear_residual", support<false>, bind<false>};

}  // namespace kl::cpu
