// norm_gate_up: out = act(norm(x) Wg') * (norm(x) Wu'). Stages: norm (and rounding) into scratch; panel pairs of gate and up.
#include "cpu/ops/ops.h"
#include "cpu/ops/stages.h"

namespace kl::cpu {
namespace {

template <bool q8>
Answer support(const Op& op, const SupportContext& c) {
  const auto& o = std::get<NormGateUp>(op);
  for (const WeightId w : {o.gate, o.up}) {
    if (const std::string reason = linear_refusal(c, w, q8); !reason.empty()) return Refusal{reason};
  }
  Support s;
  s.kernel = c.isa;
  s.activations = linear_activations(c, o.gate, q8);
  use_linear(c, s, o.gate);
  use_linear(c, s, o.up);
  use_vector(s, o.gain);
  s.stages = {{q8 ? "norm+quantize" : "norm"}, {"gate_up"}};
  s.scratch_bytes = activation_bytes(c, q8, max_rows(c, c.program.info(o.x).rows), c.info(o.gate).k);
  return s;
}

template <bool q8>
Status bind(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<NormGateUp>(op);
  const size_t k = c.info(o.gate).k;
  RowStage rows;
  rows.kernels = &c.kernels;
  rows.row_class = c.rows(o.x);
  rows.is_norm = true;
  rows.f16 = c.planned.support.activations == ActivationFormat::f16;
  rows.norm.x = c.value(o.x);
  rows.norm.x_stride = c.width(o.x);
  rows.norm.gain = c.vector(o.gain);
  rows.norm.eps = o.eps;
  rows.norm.k = k;
  LinearStage stage;
  stage.parts = 1;
  stage.row_class = c.rows(o.x);
  LinearArgs& a = stage.part[0];
  a.w = c.linear(o.gate, {});
  a.up = c.linear(o.up, {});
  a.activation = o.activation;
  a.n = c.info(o.gate).n;
  a.k = k;
  a.y = c.value(o.out);
  a.y_stride = a.n;
  if (q8) {
    a.q8 = rows.norm.q8 = c.scratch();
  } else {
    rows.norm.y = reinterpret_cast<float*>(c.scratch());
    rows.norm.y_stride = k;
    a.x = rows.norm.y;
    a.x_stride = k;
  }
  out.push_back(row_launch(rows));
  out.push_back(linear_launch(stage, c));
  return {};
}

}  // namespace

const CpuKernel kNormGateUpQ8 = {"norm_gate_up.q8", "norm_gate_up", support<true>, bind<true>};
const CpuKernel kNormGateUpF32 = {"norm_gate_up.f32", "norm_gate_up", support<false>, bind<false>};

}  // namespace kl::cpu
