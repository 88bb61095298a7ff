// The row-wise ops: gather_rows, norm, norm_add, activate, add, select_rows, sample; one launch each, tasks are runs of rows.
#include <algorithm>
#include <cstring>
#include <limits>

#include "core/formats.h"
#include "cpu/ops/ops.h"
#include "cpu/ops/stages.h"

namespace kl::cpu {
namespace {

struct RowArgs {
  const CpuKernels* kernels = nullptr;
  Rows row_class = Rows::step;
  const std::byte* table = nullptr;  // gather_rows: canonical rows
  Format format = Format::f32;
  uint32_t table_rows = 0;
  float scale = 1;
  RowIndex index = RowIndex::token;
  bool features = false;
  const float *a = nullptr, *b = nullptr;
  float* y = nullptr;
  size_t width = 0;
  NormArgs norm;
  bool layer = false;
  uint32_t parts = 1;
  Activation activation = Activation::none;
};

uint32_t tasks(const RowArgs& a, const StepState& step) { return row_tasks(live_rows(step, a.row_class)); }

struct Range {
  size_t first, last;
};
Range rows_of(const RowArgs& a, const StepState& step, uint32_t task) {
  const size_t first = size_t{task} * kRowsPerTask;
  return {first, std::min<size_t>(live_rows(step, a.row_class), first + kRowsPerTask)};
}

void gather(const RowArgs& a, const StepState& step, uint32_t task, uint32_t) {
  const Range r = rows_of(a, step, task);
  const uint64_t bytes = row_bytes(a.format, a.width);
  for (size_t t = r.first; t < r.last; ++t) {
    float* y = a.y + t * a.width;
    const int64_t index = row_index(step, a.index, static_cast<uint32_t>(t)), feature = -1 - index;
    if (index < 0 && a.features && feature < feature_rows(step)) {
      std::memcpy(y, step.features + static_cast<size_t>(feature) * a.width, a.width * sizeof(float));
      continue;
    }
    if (index < 0 || index >= a.table_rows) {  // the scheduler checks ids; a bad one must still not read outside the table
      std::memset(y, 0, a.width * sizeof(float));
      continue;
    }
    dequantize_row(a.format, a.table + static_cast<uint64_t>(index) * bytes, y, a.width);
    if (a.scale == 1.0f) continue;
    for (size_t i = 0; i < a.width; ++i) y[i] *= a.scale;
  }
}

void norm(const RowArgs& a, const StepState& step, uint32_t task, uint32_t) {
  const Range r = rows_of(a, step, task);
  NormArgs n = a.norm;
  n.rows = size_t{live_rows(step, a.row_class)} * a.parts;
  (a.layer ? a.kernels->layer_norm : a.kernels->rms_norm)(n, r.first * a.parts, r.last * a.parts);
}

void activate(const RowArgs& a, const StepState& step, uint32_t task, uint32_t) {
  const Range r = rows_of(a, step, task);
  a.kernels->activate({a.a, a.width, a.b, a.width, a.y, a.width, a.width, a.activation}, r.first, r.last);
}

void add(const RowArgs& a, const StepState& step, uint32_t task, uint32_t) {
  const Range r = rows_of(a, step, task);
  for (size_t i = r.first * a.width; i < r.last * a.width; ++i) a.y[i] = a.a[i] + a.b[i];
}

void select(const RowArgs& a, const StepState& step, uint32_t task, uint32_t) {
  const Range r = rows_of(a, step, task);
  for (size_t t = r.first; t < r.last; ++t)
    std::memcpy(a.y + t * a.width, a.a + size_t{step.params.output_rows()[t]} * a.width, a.width * sizeof(float));
}

// The first index of the largest value; -1 when there is no number at all.
int32_t argmax(const float* x, size_t n) {
  constexpr size_t kLanes = 16;  // independent maxima, so that the loop becomes vector code
  float lane[kLanes];
  std::fill(std::begin(lane), std::end(lane), -std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
  }
  for (; i < n; ++i) lane[0] = x[i] > lane[0] ? x[i] : lane[0];
  const float best = *std::max_element(std::begin(lane), std::end(lane));
  const float* at = std::find(x, x + n, best);
  return at == x + n ? -1 : static_cast<int32_t>(at - x);
}

void sample(const RowArgs& a, const StepState& step, uint32_t task, uint32_t) {
  const Range r = rows_of(a, step, task);
  for (size_t t = r.first; t < r.last; ++t) reinterpret_cast<int32_t*>(a.y)[t] = argmax(a.a + t * a.width, a.width);
}

Support one_stage(const SupportContext& c, const char* stage) {
  Support s;
  s.kernel = c.isa;
  s.stages = {{stage}};
  return s;
}

template <void (*run)(const RowArgs&, const StepState&, uint32_t, uint32_t)>
Status launch(RowArgs args, Value rows_like, const BindContext& c, std::vector<Launch>& out) {
  args.kernels = &c.kernels;
  args.row_class = c.rows(rows_like);
  out.push_back(make_launch<RowArgs, run, tasks>(std::make_shared<const RowArgs>(args)));
  return {};
}

Answer support_gather(const Op& op, const SupportContext& c) {
  Support s = one_stage(c, "gather");
  s.weights.push_back({std::get<GatherRows>(op).table, kCanonical});
  return s;
}
Status bind_gather(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<GatherRows>(op);
  RowArgs a;
  a.table = c.weight(o.table);
  a.format = c.info(o.table).format;
  a.table_rows = c.info(o.table).n;
  a.scale = o.scale;
  a.index = o.index;
  a.features = o.features;
  a.y = c.value(o.out);
  a.width = c.width(o.out);
  return launch<gather>(a, o.out, c, out);
}

Answer support_norm(const Op& op, const SupportContext& c) {
  Support s = one_stage(c, "norm");
  for (const WeightId w : weights(op)) use_vector(s, w);
  return s;
}
Status bind_norm(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  RowArgs a;
  Value x, y, residual;
  WeightId gain, bias;
  if (const auto* o = std::get_if<Norm>(&op)) {
    x = o->x, y = o->out, gain = o->gain, bias = o->bias;
    a.norm.eps = o->eps;
    a.parts = o->parts;
    a.layer = o->kind == NormKind::layer;
  } else {
    const auto& n = std::get<NormAdd>(op);
    x = n.x, y = n.out, residual = n.residual, gain = n.gain;
    a.norm.eps = n.eps;
  }
  a.norm.x = c.value(x);
  a.norm.y = c.value(y);
  a.norm.residual = c.value(residual);
  a.norm.gain = c.vector(gain);
  a.norm.bias = c.vector(bias);
  a.norm.k = a.norm.x_stride = a.norm.y_stride = a.norm.residual_stride = c.width(x) / a.parts;
  return launch<norm>(a, y, c, out);
}

Answer support_plain(const Op& op, const SupportContext& c) { return one_stage(c, kl::name(op)); }

Status bind_activate(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<Activate>(op);
  RowArgs a;
  a.a = c.value(o.gate);
  a.b = c.value(o.up);
  a.y = c.value(o.out);
  a.width = c.width(o.gate);
  a.activation = o.activation;
  return launch<activate>(a, o.out, c, out);
}
Status bind_add(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<Add>(op);
  RowArgs a;
  a.a = c.value(o.a);
  a.b = c.value(o.b);
  a.y = c.value(o.out);
  a.width = c.width(o.a);
  return launch<add>(a, o.out, c, out);
}
Status bind_select(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<SelectRows>(op);
  RowArgs a;
  a.a = c.value(o.x);
  a.y = c.value(o.out);
  a.width = c.width(o.x);
  return launch<select>(a, o.out, c, out);
}
Status bind_sample(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<Sample>(op);
  RowArgs a;
  a.a = c.value(o.logits);
  a.y = c.value(o.out);
  a.width = c.width(o.logits);
  return launch<sample>(a, o.out, c, out);
}

}  // namespace

const CpuKernel kGatherRows = {"gather_rows", "gather_rows", support_gather, bind_gather};
const CpuKernel kNorm = {"norm", "norm", support_norm, bind_norm};
const CpuKernel kNormAdd = {"norm_add", "norm_add", support_norm, bind_norm};
const CpuKernel kActivate = {"activate", "activate", support_plain, bind_activate};
const CpuKernel kAdd = {"add", "add", support_plain, bind_add};
const CpuKernel kSelectRows = {"select_rows", "select_rows", support_plain, bind_select};
const CpuKernel kSample = {"sample", "sample", support_plain, bind_sample};

}  // namespace kl::cpu
