// norm_qkv_rope: q, k, v = norm(x) W' + b; heads normed and turned; k and v written into the cache.
// Stages: norm (and rounding) into scratch; panels of q, k and v as one launch; then row by row head norms, rope and the cache write.
#include <algorithm>

#include "cpu/ops/ops.h"
#include "cpu/ops/stages.h"

namespace kl::cpu {
namespace {

struct Scratch {
  uint64_t prepared = 0, k = 0, v = 0, bytes = 0;  // offsets
};
Scratch layout(bool q8, uint64_t rows, uint64_t width, uint64_t kv_width) {
  Scratch s;
  s.k = q8 ? round_up(q8_bytes(rows, width), 64) : round_up(rows * width * sizeof(float), 64);
  s.v = s.k + round_up(rows * kv_width * sizeof(float), 64);
  s.bytes = s.v + round_up(rows * kv_width * sizeof(float), 64);
  return s;
}

template <bool q8>
Answer support(const Op& op, const SupportContext& c) {
  const auto& o = std::get<NormQkvRope>(op);
  for (const WeightId w : {o.wq, o.wk, o.wv}) {
    if (const std::string reason = linear_refusal(c, w, q8); !reason.empty()) return Refusal{reason};
  }
  Support s;
  s.kernel = c.isa;
  s.activations = linear_activations(c, o.wq, q8);
  for (const WeightId w : {o.wq, o.wk, o.wv}) use_linear(c, s, w);
  for (const WeightId w : {o.gain, o.bq, o.bk, o.bv, o.q_gain, o.k_gain, o.rope.factors}) use_vector(s, w);
  s.stages = {{q8 ? "norm+quantize" : "norm"}, {"qkv"}, {"heads+rope+cache"}};
  s.scratch_bytes = layout(q8, max_rows(c, Rows::step), c.info(o.wq).k, uint64_t{o.kv_heads} * o.head_size).bytes;
  return s;
}

struct HeadArgs {
  const CpuKernels* kernels = nullptr;
  const CpuAttentionKernels* attention = nullptr;
  float *q = nullptr, *k = nullptr, *v = nullptr;    // [T H*D] [T G*D] [T G*D]
  const float *q_gain = nullptr, *k_gain = nullptr;  // [D] or null
  float eps = 0;
  uint32_t heads = 0, kv_heads = 0, head_size = 0;
  const StepRope* rope = nullptr;  // null: no positions
  RopeStyle style = RopeStyle::neighbours;
  KvLayer cache;
  uint32_t group = 0;
};

constexpr uint32_t kHeadRows = 8;  // rows per task

uint32_t head_tasks(const HeadArgs&, const StepState& step) { return (step.params.header().rows + kHeadRows - 1) / kHeadRows; }

void norm_heads(const HeadArgs& a, float* x, const float* gain, uint32_t heads, uint32_t rows) {
  if (gain == nullptr) return;
  NormArgs n;
  n.x = n.y = x;
  n.x_stride = n.y_stride = n.k = a.head_size;
  n.gain = gain;
  n.eps = a.eps;
  n.rows = size_t{rows} * heads;
  a.kernels->rms_norm(n, 0, n.rows);
}

void head_run(const HeadArgs& a, const StepState& step, uint32_t task, uint32_t) {
  const uint32_t first = task * kHeadRows, last = std::min(step.params.header().rows, first + kHeadRows), rows = last - first;
  const size_t q_width = size_t{a.heads} * a.head_size, kv_width = size_t{a.kv_heads} * a.head_size;
  float* q = a.q + first * q_width;
  float* k = a.k + first * kv_width;
  norm_heads(a, q, a.q_gain, a.heads, rows);
  norm_heads(a, k, a.k_gain, a.kv_heads, rows);
  if (a.rope != nullptr) {
    const uint32_t dims = a.rope->spec.dims;
    const float* table = a.rope->table.data() + size_t{first} * dims;
    a.attention->rope(q, q_width, table, rows, a.heads, a.head_size, dims, a.style);
    a.attention->rope(k, kv_width, table, rows, a.kv_heads, a.head_size, dims, a.style);
  }
  for (uint32_t r = first; r < last;) {  // runs of one sequence
    const uint32_t sequence = step.params.row_sequence()[r];
    uint32_t end = r + 1;
    while (end < last && step.params.row_sequence()[end] == sequence) ++end;
    a.attention->kv_write(a.cache, step.params.block_table(a.group, sequence), step.params.row_slot() + r, a.k + r * kv_width,
                          a.v + r * kv_width, kv_width, end - r);
    r = end;
  }
}

template <bool q8>
Status bind(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<NormQkvRope>(op);
  const size_t k = c.info(o.wq).k, kv_width = size_t{o.kv_heads} * o.head_size;
  const Scratch at = layout(q8, c.plan.config.rows, k, kv_width);
  RowStage rows;
  rows.kernels = &c.kernels;
  rows.is_norm = true;
  rows.f16 = c.planned.support.activations == ActivationFormat::f16;
  rows.norm.x = c.value(o.x);
  rows.norm.x_stride = c.width(o.x);
  rows.norm.gain = c.vector(o.gain);
  rows.norm.eps = o.eps;
  rows.norm.k = k;
  if (q8) {
    rows.norm.q8 = c.scratch();
  } else {
    rows.norm.y = reinterpret_cast<float*>(c.scratch());
    rows.norm.y_stride = k;
  }
  HeadArgs heads;
  heads.kernels = &c.kernels;
  heads.attention = &c.attention;
  heads.q = c.value(o.out);
  heads.k = reinterpret_cast<float*>(c.scratch() + at.k);
  heads.v = reinterpret_cast<float*>(c.scratch() + at.v);
  heads.q_gain = c.vector(o.q_gain);
  heads.k_gain = c.vector(o.k_gain);
  heads.eps = o.eps;
  heads.heads = o.heads;
  heads.kv_heads = o.kv_heads;
  heads.head_size = o.head_size;
  heads.style = o.rope.style;
  heads.cache = c.kv(o.cache);
  heads.group = o.cache.group;
  if (o.rope.enabled) {
    KL_ASSIGN(heads.rope, c.rope(o.rope));
  }

  LinearStage stage;
  stage.parts = 3;
  const WeightId w[3] = {o.wq, o.wk, o.wv}, bias[3] = {o.bq, o.bk, o.bv};
  float* y[3] = {heads.q, heads.k, heads.v};
  for (uint32_t p = 0; p < 3; ++p) {
    LinearArgs& a = stage.part[p];
    a.w = c.linear(w[p], bias[p]);
    a.n = c.info(w[p]).n;
    a.k = k;
    a.q8 = rows.norm.q8;
    a.x = rows.norm.y;
    a.x_stride = k;
    a.y = y[p];
    a.y_stride = a.n;
  }
  out.push_back(row_launch(rows));
  out.push_back(linear_launch(stage, c));
  out.push_back(make_launch<HeadArgs, head_run, head_tasks>(std::make_shared<const HeadArgs>(heads)));
  return {};
}

}  // namespace

const CpuKernel kNormQkvRopeQ8 = {"norm_qkv_rope.q8", "norm_qkv_rope", support<true>, bind<true>};
const CpuKernel kNormQkvRopeF32 = {"norm_qkv_rope.f32", "norm_qkv_rope", support<false>, bind<false>};

}  // namespace kl::cpu
