// norm_qkv_rope: q, k, v = norm(x) W' + b; heads normed and turned; k and v into the cache.
// Stages: for few rows one (qkv_row.cu). Else norm, with rounding to 8 bits where the plan wants that (f16: a stage of its own); the three products, side by side; head
// norms, rope and the cache write in one.
#include "cuda/ops/ops.h"
#include "cuda/ops/stages.h"

namespace kl::cuda {
namespace {

// Offsets in scratch. together: one launch.
struct Scratch {
  uint64_t normed = 0, rounded = 0, q = 0, k = 0, v = 0, bytes = 0;
};
Scratch layout(bool together, ActivationFormat activations, uint64_t rows, uint64_t width, uint64_t q_width, uint64_t kv_width) {
  Scratch s;
  const auto take = [&](uint64_t bytes) {
    const uint64_t at = s.bytes;
    s.bytes += bytes;
    return at;
  };
  if (!together) {
    s.normed = take(rows_bytes(rows, width));
    s.rounded = take(rounded_bytes(activations, rows, width));
  }
  s.q = take(rows_bytes(rows, q_width));
  s.k = take(rows_bytes(rows, kv_width));
  s.v = take(rows_bytes(rows, kv_width));
  return s;
}

Answer support(const Op& op, const SupportContext& c) {
  const auto& o = std::get<NormQkvRope>(op);
  for (const WeightId w : {o.wq, o.wk, o.wv}) {
    if (const std::string reason = matrix_refusal(c, w); !reason.empty()) return Refusal{reason};
    if (activations_for(c, w) != activations_for(c, o.wq))
      return refuse("q is %s and another of k, v is %s: their inputs are rounded differently", name(c.info(o.wq).format),
                    name(c.info(w).format));
  }
  if (const std::string reason = kv_refusal(c, o.kv_heads, o.head_size); !reason.empty()) return Refusal{reason};
  if (o.rope.enabled && o.rope.dims % 2 != 0) return refuse("turned dimensions %u are odd", o.rope.dims);
  Support s;
  s.kernel = kv_layout_name(c.config.kv);
  s.activations = activations_for(c, o.wq);
  for (const WeightId w : {o.wq, o.wk, o.wv}) use_matrix(c, s, w);
  for (const WeightId w : {o.gain, o.bq, o.bk, o.bv, o.q_gain, o.k_gain, o.rope.factors}) use_vector(s, w);
  const bool together = prepares_inputs(c.gpu, s.activations, c.config.rows);
  if (together) {
    s.stages = {{s.activations == ActivationFormat::q8 ? "norm+round+qkv+heads+cache" : "norm+qkv+heads+cache"}};
  } else {
    s.stages.push_back({s.activations == ActivationFormat::q8 ? "norm+round" : "norm"});
    if (s.activations == ActivationFormat::f16) s.stages.push_back({"round"});
    s.stages.push_back({"qkv"});
    s.stages.push_back({"heads+cache"});
  }
  s.scratch_bytes =
      layout(together, s.activations, c.config.rows, c.info(o.wq).k, uint64_t{o.heads} * o.head_size, uint64_t{o.kv_heads} * o.head_size)
          .bytes;
  return s;
}

Status bind(const Op& op, const BindContext& c, Launches& out) {
  const auto& o = std::get<NormQkvRope>(op);
  const uint32_t k = c.info(o.wq).k, most = c.most_rows(o.x);
  const ActivationFormat activations = c.planned.support.activations;
  const RowCount rows = c.rows(o.x);
  const bool together = prepares_inputs(c.gpu, activations, most);
  const Scratch s = layout(together, activations, most, k, uint64_t{o.heads} * o.head_size, uint64_t{o.kv_heads} * o.head_size);
  const auto floats = [&](uint64_t at) { return reinterpret_cast<float*>(c.scratch(at)); };
  KvWriteStage w;
  w.q = floats(s.q);
  w.k = floats(s.k);
  w.v = floats(s.v);
  w.q_out = c.value(o.out);
  w.cache = o.cache;
  w.heads = o.heads;
  w.kv_heads = o.kv_heads;
  w.head_size = o.head_size;
  w.q_gain = o.q_gain;
  w.k_gain = o.k_gain;
  w.eps = o.eps;
  w.rope = &o.rope;

  if (together) {
    QkvStage one;
    one.x = c.value(o.x);
    one.rounds = activations == ActivationFormat::q8;
    one.gain = o.gain;
    one.eps = o.eps;
    one.most_rows = most;
    one.parts[0] = {o.wq, o.bq, floats(s.q)};
    one.parts[1] = {o.wk, o.bk, floats(s.k)};
    one.parts[2] = {o.wv, o.bv, floats(s.v)};
    one.heads = w;
    return add_qkv(c, 0, one, out);
  }

  uint32_t stage = 0;
  NormStage n;
  n.x = c.value(o.x);
  n.out = floats(s.normed);
  n.rows = rows;
  n.most_rows = most;
  n.gain = o.gain;
  n.width = k;
  n.eps = o.eps;
  LinearInput in;
  if (activations == ActivationFormat::q8) {
    KL_ASSIGN(in, add_norm_quantize(c, stage++, n, s.rounded, out));
  } else {
    KL_TRY(add_norm(c, stage++, n, out));
    in.x = n.out;
    if (activations == ActivationFormat::f16) in = add_round(c, stage++, n.out, s.rounded, rows, most, k, out);
  }

  const auto linear = [&](WeightId matrix, WeightId bias, float* to) {
    LinearStage l;
    l.in = in;
    l.out = to;
    l.rows = rows;
    l.most_rows = most;
    l.w = matrix;
    l.bias = bias;
    return add_linear(c, stage, l, out);
  };
  KL_TRY(linear(o.wq, o.bq, floats(s.q)));
  KL_TRY(linear(o.wk, o.bk, floats(s.k)));
  KL_TRY(linear(o.wv, o.bv, floats(s.v)));
  ++stage;

  return add_kv_write(c, stage, w, out);
}

}  // namespace

const CudaKernel kNormQkvRope = {"norm_qkv_rope", "norm_qkv_rope", support, bind};

}  // namespace kl::cuda
