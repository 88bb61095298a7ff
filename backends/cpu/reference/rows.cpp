// The row-wise primitives, the oracle: gather_rows, patchify, pool, norm, rope, activate, add, select_rows, sample. One row a task, double
// arithmetic, straight from the definitions in ir/op.h.
#include <bit>
#include <cmath>
#include <cstring>

#include "core/draw.h"
#include "core/formats.h"
#include "cpu/ops/ops.h"
#include "cpu/ops/stages.h"

namespace kl::cpu {
namespace {

// An op with its operands' addresses.
template <class O>
struct Row {
  O op;
  const float* in[2] = {nullptr, nullptr};
  float* out = nullptr;
  const float *gain = nullptr, *bias = nullptr;
  const std::byte* table = nullptr;
  Format format = Format::f32;
  uint32_t table_rows = 0;
  size_t width = 0;  // of the input
  Rows row_class = Rows::step;
  RopeFrequencies rope;
};

template <class O>
uint32_t tasks(const Row<O>& a, const StepState& step) {
  return live_rows(step, a.row_class);
}

double act(Activation kind, double x) {
  switch (kind) {
    case Activation::none:
      return x;
    case Activation::silu:
      return x / (1.0 + std::exp(-x));
    case Activation::gelu_tanh:
      return 0.5 * x * (1.0 + std::tanh(0.7978845608028653559 * (x + 0.044715 * x * x * x)));
    case Activation::gelu_erf:
      return 0.5 * x * (1.0 + std::erf(x * 0.70710678118654752440));
    case Activation::gelu_quick:
      return x / (1.0 + std::exp(-1.702 * x));
  }
  return x;
}

void run(const Row<GatherRows>& a, const StepState& step, uint32_t t, uint32_t) {
  const int64_t index = row_index(step, a.op.index, t);
  float* y = a.out + t * a.width;
  std::memset(y, 0, a.width * sizeof(float));
  if (index < 0) {
    const int64_t row = -1 - index;
    if (a.op.features && row < feature_rows(step))
      std::memcpy(y, step.features + static_cast<size_t>(row) * a.width, a.width * sizeof(float));
    return;
  }
  if (index >= a.table_rows) return;
  dequantize_row(a.format, a.table + static_cast<uint64_t>(index) * row_bytes(a.format, a.width), y, a.width);
  for (size_t i = 0; i < a.width; ++i) y[i] = y[i] * a.op.scale;
}

void run(const Row<Patchify>& a, const StepState& step, uint32_t t, uint32_t) {
  const uint32_t n = a.op.size;
  float* y = a.out + t * a.width;
  const std::byte* patch = patch_of(step, t, n);
  for (uint32_t c = 0; c < 3; ++c) {
    for (uint32_t i = 0; i < n; ++i) {
      for (uint32_t j = 0; j < n; ++j) {
        const auto at = size_t{i} * step.params.header().pixel_stride + 3 * size_t{j} + c;
        const double pixel = patch == nullptr ? 0 : std::to_integer<int>(patch[at]);
        *y++ = patch == nullptr
                   ? 0.0f
                   : static_cast<float>((pixel / 255.0 - static_cast<double>(a.op.mean[c])) / static_cast<double>(a.op.deviation[c]));
      }
    }
  }
}

void run(const Row<Pool>& a, const StepState&, uint32_t t, uint32_t) {
  const size_t count = a.op.count;
  const float* x = a.in[0] + t * count * a.width;
  if (a.op.kind == PoolKind::concatenate) {
    std::memcpy(a.out + t * count * a.width, x, count * a.width * sizeof(float));
    return;
  }
  for (size_t i = 0; i < a.width; ++i) {
    double sum = 0;
    for (size_t r = 0; r < count; ++r) sum += static_cast<double>(x[r * a.width + i]);
    a.out[t * a.width + i] = static_cast<float>(sum / static_cast<double>(count));
  }
}

void run(const Row<Norm>& a, const StepState&, uint32_t t, uint32_t) {
  const size_t k = a.width / a.op.parts;
  for (size_t part = 0; part < a.op.parts; ++part) {
    const float* x = a.in[0] + t * a.width + part * k;
    float* y = a.out + t * a.width + part * k;
    double mean = 0, squares = 0;
    if (a.op.kind == NormKind::layer) {
      for (size_t i = 0; i < k; ++i) mean += static_cast<double>(x[i]);
      mean /= static_cast<double>(k);
    }
    for (size_t i = 0; i < k; ++i) squares += (static_cast<double>(x[i]) - mean) * (static_cast<double>(x[i]) - mean);
    const double r = 1.0 / std::sqrt(squares / static_cast<double>(k) + static_cast<double>(a.op.eps));
    for (size_t i = 0; i < k; ++i) {
      const double gain = a.gain != nullptr ? static_cast<double>(a.gain[i]) : 1.0,
                   bias = a.bias != nullptr ? static_cast<double>(a.bias[i]) : 0.0;
      y[i] = static_cast<float>((static_cast<double>(x[i]) - mean) * r * gain + bias);
    }
  }
}

void run(const Row<Rope>& a, const StepState& step, uint32_t t, uint32_t) {
  const uint32_t d = a.op.head_size, dims = a.op.rope.dims, pairs = dims / 2;
  std::memcpy(a.out + t * a.width, a.in[0] + t * a.width, a.width * sizeof(float));
  for (uint32_t h = 0; h < a.op.heads; ++h) {
    float* x = a.out + t * a.width + size_t{h} * d;
    for (uint32_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(step.params.positions()[3 * t + a.rope.component[i]]) * a.rope.frequency[i];
      const double c = std::cos(angle) * static_cast<double>(a.rope.attention_factor),
                   s = std::sin(angle) * static_cast<double>(a.rope.attention_factor);
      const bool neighbours = a.op.rope.style == RopeStyle::neighbours;
      float& x0 = x[neighbours ? 2 * i : i];
      float& x1 = x[neighbours ? 2 * i + 1 : i + pairs];
      const double a0 = static_cast<double>(x0), a1 = static_cast<double>(x1);
      x0 = static_cast<float>(a0 * c - a1 * s);
      x1 = static_cast<float>(a0 * s + a1 * c);
    }
  }
}

void run(const Row<Activate>& a, const StepState&, uint32_t t, uint32_t) {
  for (size_t i = t * a.width; i < (t + 1) * a.width; ++i) {
    const double up = a.in[1] != nullptr ? static_cast<double>(a.in[1][i]) : 1.0;
    a.out[i] = static_cast<float>(act(a.op.activation, static_cast<double>(a.in[0][i])) * up);
  }
}

void run(const Row<Add>& a, const StepState&, uint32_t t, uint32_t) {
  for (size_t i = t * a.width; i < (t + 1) * a.width; ++i) a.out[i] = a.in[0][i] + a.in[1][i];
}

void run(const Row<SelectRows>& a, const StepState& step, uint32_t t, uint32_t) {
  std::memcpy(a.out + t * a.width, a.in[0] + step.params.output_rows()[t] * a.width, a.width * sizeof(float));
}

// The definition of core/draw.h step by step. The cut is found by bisection over all float32 values, then over ids, with nothing but counts.
int32_t draw_by_definition(const float* x, size_t width, size_t best, const DrawSettings& settings) {
  const auto is_kept_by = [&](uint32_t order, size_t last, size_t i) {
    const uint32_t o = order_of(std::bit_cast<uint32_t>(x[i]));
    return o > order || (o == order && i <= last);
  };
  const auto kept_by = [&](uint32_t order, size_t last) {
    size_t count = 0;
    for (size_t i = 0; i < width; ++i) count += is_kept_by(order, last, i) ? 1 : 0;
    return count;
  };
  uint32_t order = 0;
  size_t last = width;
  if (settings.top_k > 0 && settings.top_k < width) {
    for (uint32_t high = ~0u; order < high;) {  // the highest that keeps k at least
      const uint32_t middle = order + (high - order) / 2 + 1;
      if (kept_by(middle, width) >= settings.top_k) {
        order = middle;
      } else {
        high = middle - 1;
      }
    }
    for (size_t low = 0; low < last;) {  // the lowest that still does
      const size_t middle = low + (last - low) / 2;
      if (kept_by(order, middle) >= settings.top_k) {
        last = middle;
      } else {
        low = middle + 1;
      }
    }
  }
  const auto weight = [&](size_t i) { return is_kept_by(order, last, i) ? draw_weight(x[i], x[best], settings.scale) : 0; };
  uint64_t sum = 0;
  for (size_t i = 0; i < width; ++i) sum += weight(i);
  const uint64_t r = multiply_high(uint64_t{settings.random_high} << 32 | settings.random_low, sum);
  uint64_t running = 0;
  for (size_t lane = 0; lane < kDrawLanes; ++lane) {
    for (size_t i = lane; i < width; i += kDrawLanes) {
      running += weight(i);
      if (running > r) return static_cast<int32_t>(i);
    }
  }
  return -1;
}

void run(const Row<Sample>& a, const StepState& step, uint32_t t, uint32_t) {
  const float* x = a.in[0] + t * a.width;
  const DrawSettings& settings = step.params.draws()[t];
  int32_t& token = reinterpret_cast<int32_t*>(a.out)[t];
  token = -1;
  size_t best = 0;
  for (size_t i = 0; i < a.width; ++i) {
    if (!std::isfinite(x[i])) return;
    if (x[i] > x[best]) best = i;
  }
  if (settings.scale < 0) return;
  token = settings.scale == 0 ? static_cast<int32_t>(best) : draw_by_definition(x, a.width, best, settings);
}

template <class O>
void run_one(const Row<O>& a, const StepState& step, uint32_t task, uint32_t) {
  run(a, step, task, 0);
}

template <class O>
Answer support(const Op& op, const SupportContext&) {
  Support s;
  s.stages = {{name(op)}};
  for (const WeightId w : weights(op)) s.weights.push_back({w, std::is_same_v<O, GatherRows> ? kCanonical : kVector});
  return s;
}

template <class O>
Status bind(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  Row<O> a;
  a.op = std::get<O>(op);
  const std::vector<Value> in = inputs(op);
  for (size_t i = 0; i < in.size() && i < 2; ++i) a.in[i] = c.value(in[i]);
  const Value y = outputs(op).front();
  a.out = c.value(y);
  a.width = c.width(in.empty() ? y : in.front());
  a.row_class = c.rows(y);
  if constexpr (std::is_same_v<O, GatherRows>) {
    a.table = c.weight(a.op.table);
    a.format = c.info(a.op.table).format;
    a.table_rows = c.info(a.op.table).n;
  }
  if constexpr (std::is_same_v<O, Norm>) {
    a.gain = c.vector(a.op.gain);
    a.bias = c.vector(a.op.bias);
  }
  if constexpr (std::is_same_v<O, Rope>) {
    std::span<const float> factors;
    if (a.op.rope.factors.valid()) factors = {c.vector(a.op.rope.factors), a.op.rope.dims / 2};
    KL_ASSIGN(a.rope, rope_frequencies(a.op.rope, factors));
  }
  out.push_back(make_launch<Row<O>, run_one<O>, tasks<O>>(std::make_shared<const Row<O>>(std::move(a))));
  return {};
}

}  // namespace

const CpuKernel kReferenceGatherRows = {"reference.gather_rows", "gather_rows", support<GatherRows>, bind<GatherRows>};
const CpuKernel kReferencePatchify = {"reference.patchify", "patchify", support<Patchify>, bind<Patchify>};
const CpuKernel kReferencePool = {"reference.pool", "pool", support<Pool>, bind<Pool>};
const CpuKernel kReferenceNorm = {"reference.norm", "norm", support<Norm>, bind<Norm>};
const CpuKernel kReferenceRope = {"reference.rope", "rope", support<Rope>, bind<Rope>};
const CpuKernel kReferenceActivate = {"reference.activate", "activate", support<Activate>, bind<Activate>};
const CpuKernel kReferenceAdd = {"reference.add", "add", support<Add>, bind<Add>};
const CpuKernel kReferenceSelectRows = {"reference.select_rows", "select_rows", support<SelectRows>, bind<SelectRows>};
const CpuKernel kReferenceSample = {"reference.sample", "sample", support<Sample>, bind<Sample>};

}  // namespace kl::cpu
