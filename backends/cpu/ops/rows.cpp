// The row-wise ops: gather_rows, patchify, pool, norm, norm_add, activate, add, select_rows, sample; one launch each, tasks are runs of rows.
#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <memory>

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
  uint32_t parts = 1;                                // of a norm; rows that a pool makes one
  bool mean = false;                                 // pool
  uint32_t patch = 0;                                // pixels along a side
  std::shared_ptr<const std::vector<float>> levels;  // [3 256] what each pixel value becomes
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

// The 256 levels of each channel are a table, computed in double: the reference's bits.
void patchify(const RowArgs& a, const StepState& step, uint32_t task, uint32_t) {
  const Range r = rows_of(a, step, task);
  const size_t n = a.patch, stride = step.params.header().pixel_stride;
  for (size_t t = r.first; t < r.last; ++t) {
    float* y = a.y + t * a.width;
    const std::byte* patch = patch_of(step, static_cast<uint32_t>(t), a.patch);
    if (patch == nullptr) {
      std::memset(y, 0, a.width * sizeof(float));
      continue;
    }
    for (size_t i = 0; i < n; ++i) {
      const std::byte* line = patch + i * stride;
      for (size_t c = 0; c < 3; ++c) {
        const float* level = a.levels->data() + 256 * c;
        float* out = y + (c * n + i) * n;
        for (size_t j = 0; j < n; ++j) out[j] = level[std::to_integer<uint8_t>(line[3 * j + c])];
      }
    }
  }
}

// Rows side by side are what they were: neighbours in memory. A mean adds rows in ascending order.
void pool(const RowArgs& a, const StepState& step, uint32_t task, uint32_t) {
  const Range r = rows_of(a, step, task);
  const size_t count = a.parts;
  if (!a.mean) {
    const size_t row = count * a.width;
    std::memcpy(a.y + r.first * row, a.a + r.first * row, (r.last - r.first) * row * sizeof(float));
    return;
  }
  const float divisor = static_cast<float>(count);
  for (size_t t = r.first; t < r.last; ++t) {
    const float* x = a.a + t * count * a.width;
    float* y = a.y + t * a.width;
    std::copy_n(x, a.width, y);
    for (size_t i = 1; i < count; ++i) {
      for (size_t j = 0; j < a.width; ++j) y[j] += x[i * a.width + j];
    }
    for (size_t j = 0; j < a.width; ++j) y[j] /= divisor;
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

// The first index of the largest value; -1 when one is not finite.
int32_t argmax(const float* x, size_t n) {
  constexpr size_t kLanes = 16;  // independent maxima, so that the loop becomes vector code
  float lane[kLanes];
  uint32_t broken[kLanes] = {};
  std::fill(std::begin(lane), std::end(lane), -std::numeric_limits<float>::infinity());
  const auto look = [&](size_t i, size_t j) {
    broken[j] |= (std::bit_cast<uint32_t>(x[i]) & 0x7f800000u) == 0x7f800000u ? 1u : 0u;
    lane[j] = x[i] > lane[j] ? x[i] : lane[j];
  };
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) look(i + j, j);
  }
  for (; i < n; ++i) look(i, 0);
  if (std::any_of(std::begin(broken), std::end(broken), [](uint32_t b) { return b != 0; })) return -1;
  const float best = *std::max_element(std::begin(lane), std::end(lane));
  return static_cast<int32_t>(std::find(x, x + n, best) - x);
}

void sample(const RowArgs& a, const StepState& step, uint32_t task, uint32_t) {
  const Range r = rows_of(a, step, task);
  for (size_t t = r.first; t < r.last; ++t) {
    const DrawSettings& settings = step.params.draws()[t];
    const std::span<const float> logits(a.a + t * a.width, a.width);
    int32_t token = settings.scale < 0 ? -1 : argmax(logits.data(), logits.size());
    if (token >= 0 && settings.scale > 0) token = draw(logits, logits[static_cast<size_t>(token)], settings);
    reinterpret_cast<int32_t*>(a.y)[t] = token;
  }
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

Status bind_patchify(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<Patchify>(op);
  std::vector<float> levels;
  for (size_t channel = 0; channel < 3; ++channel) {
    for (int i = 0; i < 256; ++i) {
      levels.push_back(static_cast<float>((i / 255.0 - static_cast<double>(o.mean[channel])) / static_cast<double>(o.deviation[channel])));
    }
  }
  RowArgs a;
  a.levels = std::make_shared<const std::vector<float>>(std::move(levels));
  a.patch = o.size;
  a.y = c.value(o.out);
  a.width = c.width(o.out);
  return launch<patchify>(a, o.out, c, out);
}
Status bind_pool(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<Pool>(op);
  RowArgs a;
  a.a = c.value(o.x);
  a.y = c.value(o.out);
  a.width = c.width(o.x);
  a.parts = o.count;
  a.mean = o.kind == PoolKind::mean;
  return launch<pool>(a, o.out, c, out);
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
const CpuKernel kPatchify = {"patchify", "patchify", support_plain, bind_patchify};
const CpuKernel kPool = {"pool", "pool", support_plain, bind_pool};
const CpuKernel kNorm = {"norm", "norm", support_norm, bind_norm};
const CpuKernel kNormAdd = {"norm_add", "norm_add", support_norm, bind_norm};
const CpuKernel kActivate = {"activate", "activate", support_plain, bind_activate};
const CpuKernel kAdd = {"add", "add", support_plain, bind_add};
const CpuKernel kSelectRows = {"select_rows", "select_rows", support_plain, bind_select};
const CpuKernel kSample = {"sample", "sample", support_plain, bind_sample};

}  // namespace kl::cpu
