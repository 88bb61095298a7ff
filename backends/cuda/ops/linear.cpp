// linear and the fused ops around one: y = (residual +) norm?(x) w' (+ bias), residual + norm(x w'), act(norm(x) gate') * (norm(x) up'), norm(select(x)) head'.
// Four rows of the table each, a LinearPath each. Stages: for up to 8 rows one (prepares_inputs()). Else norm into scratch, where there is
// one; rounding to the plan's activation format, where it is not f32 (8 bits: with the norm); the product.
#include "cuda/ops/ops.h"
#include "cuda/ops/stages.h"
#include "ir/linear_operands.h"

namespace kl::cuda {
namespace {

// The product alone: its kernel norms and rounds. Not so where rows are selected, which is the head: it has so many blocks that a launch costs less than what each of
// them would do again.
bool together(const LinearOperands& o, const Gpu& gpu, ActivationFormat activations, uint64_t rows) {
  return !o.selects && prepares_inputs(gpu, activations, rows);
}

std::string product_stage(const LinearOperands& o, ActivationFormat activations) {
  return std::string(o.gain.valid() ? "norm+" : "") + (activations == ActivationFormat::q8 ? "round+" : "") +
         (o.up.valid() ? "gate_up" : "linear") + (o.out_gain.valid() ? "+norm+add" : "");
}

// The path's support: a row of the kernel table each, so that a plan's report says why a better one was not taken. bind() takes the one best_path names, which
// is the first that does not refuse.
template <LinearPath kPath>
Answer support(const Op& op, const SupportContext& c) {
  const LinearOperands o = linear_operands(op);
  if (const std::string reason = matrix_refusal(c, o.w); !reason.empty()) return Refusal{reason};
  if (o.up.valid() && c.info(o.up).format != c.info(o.w).format)
    return refuse("gate is %s and up is %s", name(c.info(o.w).format), name(c.info(o.up).format));
  if (const std::string reason = path_refusal(kPath, c.gpu, activations_for(c, o.w), c.max_rows(o.out)); !reason.empty())
    return Refusal{reason};
  // One block norms all rows of the step: more of them have a launch of their own, the op's definition.
  if (o.out_gain.valid() && !together(o, c.gpu, activations_for(c, o.w), c.max_rows(o.out)))
    return refuse("the norm of a product is a launch's own for more than %u rows and for 16-bit inputs", kLinearRowRows);
  if (o.out_gain.valid() && c.info(o.w).n % 4 != 0) return refuse("N = %u is not a multiple of 4", c.info(o.w).n);
  Support s;
  s.kernel = name(kPath);
  s.activations = activations_for(c, o.w);
  use_matrix(c, s, o.w);
  if (o.up.valid()) use_matrix(c, s, o.up);
  use_vector(s, o.gain);
  use_vector(s, o.bias);
  use_vector(s, o.out_gain);
  const uint64_t rows = c.max_rows(o.out);
  const uint32_t k = c.info(o.w).k;
  if (together(o, c.gpu, s.activations, rows)) {
    s.stages = {{product_stage(o, s.activations)}};
    return s;
  }
  const bool rounds_too = o.gain.valid() && s.activations == ActivationFormat::q8;
  if (o.gain.valid()) {
    s.stages.push_back({rounds_too ? (o.selects ? "select+norm+round" : "norm+round") : o.selects ? "select+norm" : "norm"});
    s.scratch_bytes += rounds_too ? rounded_bytes(s.activations, rows, k) : rows_bytes(rows, k);
  }
  if (s.activations != ActivationFormat::f32 && !rounds_too) {
    s.stages.push_back({"round"});
    s.scratch_bytes += rounded_bytes(s.activations, rows, k);
  }
  s.stages.push_back({o.up.valid() ? "gate_up" : "linear"});
  return s;
}

Status bind(const Op& op, const BindContext& c, Launches& out) {
  const LinearOperands o = linear_operands(op);
  const uint32_t k = c.info(o.w).k;
  LinearStage l;
  l.rows = c.rows(o.out);
  l.most_rows = c.most_rows(o.out);
  l.in.x = c.value(o.x);
  l.out = c.value(o.out);
  l.w = o.w;
  l.up = o.up;
  l.bias = o.bias;
  l.residual = c.value(o.residual);
  l.activation = o.activation;
  const ActivationFormat activations = c.planned.support.activations;
  if (together(o, c.gpu, activations, l.most_rows)) {
    l.rounds = activations == ActivationFormat::q8;
    l.gain = o.gain;
    l.out_gain = o.out_gain;
    l.eps = o.eps;
    return add_linear(c, 0, l, out);
  }
  uint32_t stage = 0;
  uint64_t used = 0;
  if (o.gain.valid()) {
    NormStage n;
    n.x = l.in.x;
    n.out = reinterpret_cast<float*>(c.scratch(used));
    n.rows = l.rows;
    n.most_rows = l.most_rows;
    n.gain = o.gain;
    n.selects = o.selects;
    n.width = k;
    n.eps = o.eps;
    if (activations == ActivationFormat::q8) {
      KL_ASSIGN(l.in, add_norm_quantize(c, stage++, n, used, out));
    } else {
      KL_TRY(add_norm(c, stage++, n, out));
      l.in.x = n.out;
      used += rows_bytes(l.most_rows, k);
    }
  }
  const bool rounds = activations != ActivationFormat::f32 && l.in.q.codes == nullptr;
  if (rounds) l.in = add_round(c, stage++, l.in.x, used, l.rows, l.most_rows, k, out);
  return add_linear(c, stage, l, out);
}

}  // namespace

#define KL_PATHS(KERNEL, OP)                                                   \
  const CudaKernel KERNEL##Many = {OP, OP, support<LinearPath::many>, bind};   \
  const CudaKernel KERNEL##Few = {OP, OP, support<LinearPath::few>, bind};     \
  const CudaKernel KERNEL##Eight = {OP, OP, support<LinearPath::eight>, bind}; \
  const CudaKernel KERNEL = {OP, OP, support<LinearPath::row>, bind};
KL_PATHS(kLinear, "linear")
KL_PATHS(kNormLinear, "norm_linear")
KL_PATHS(kLinearResidual, "linear_residual")
KL_PATHS(kLinearNormAdd, "linear_norm_add")
KL_PATHS(kNormGateUp, "norm_gate_up")
KL_PATHS(kSelectNormHead, "select_norm_head")
#undef KL_PATHS

}  // namespace kl::cuda
