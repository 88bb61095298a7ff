// select_norm_head: logits = norm(select(x)) head'. Stages: output rows gathered, normed (and rounded) into scratch; panels of the vocabulary.
#include "cpu/ops/ops.h"
#include "cpu/ops/stages.h"

namespace kl::cpu {
namespace {

template <bool q8>
Answer support(const Op& op, const SupportContext& c) {
  const auto& o = std::get<SelectNormHead>(op);
  if (const std::string reason = linear_refusal(c, o.head, q8); !reason.empty()) return Refusal{reason};
  Support s;
  s.kernel = c.isa;
  s.activations = linear_activations(c, o.head, q8);
  use_linear(c, s, o.head);
  use_vector(s, o.gain);
  s.stages = {{q8 ? "select+norm+quantize" : "select+norm"}, {"head"}};
  const uint64_t rows = max_rows(c, Rows::outputs), k = c.info(o.head).k;
  s.scratch_bytes = activation_bytes(c, q8, rows, k) + activation_bytes(c, false, rows, k);
  return s;
}

template <bool q8>
Status bind(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<SelectNormHead>(op);
  const size_t k = c.info(o.head).k;
  std::byte* prepared = c.scratch();
  RowStage rows;
  rows.kernels = &c.kernels;
  rows.is_norm = true;
  rows.f16 = c.planned.support.activations == ActivationFormat::f16;
  rows.row_class = Rows::outputs;
  rows.selected = reinterpret_cast<float*>(
      prepared + (q8 ? round_up(q8_bytes(c.plan.config.outputs, k), 64) : round_up(size_t{c.plan.config.outputs} * k * sizeof(float), 64)));
  rows.norm.x = c.value(o.x);
  rows.norm.x_stride = c.width(o.x);
  rows.norm.gain = c.vector(o.gain);
  rows.norm.eps = o.eps;
  rows.norm.k = k;
  LinearStage stage;
  stage.parts = 1;
  stage.row_class = Rows::outputs;
  LinearArgs& a = stage.part[0];
  a.w = c.linear(o.head, {});
  a.n = c.info(o.head).n;
  a.k = k;
  a.y = c.value(o.out);
  a.y_stride = a.n;
  if (q8) {
    a.q8 = rows.norm.q8 = prepared;
  } else {
    rows.norm.y = reinterpret_cast<float*>(prepared);
    rows.norm.y_stride = k;
    a.x = rows.norm.y;
    a.x_stride = k;
  }
  out.push_back(row_launch(rows));
  out.push_back(linear_launch(stage, c));
  return {};
}

}  // namespace

const CpuKernel kSelectNormHeadQ8 = {"select_norm_head.q8", "select_norm_head", support<true>, bind<true>};
const CpuKernel kSelectNormHeadF32 = {"select_norm_head.f32", "select_norm_head", support<false>, bind<false>};

}  // namespace kl::cpu
