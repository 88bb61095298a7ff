// linear, the oracle: y[t][n] = sum_k double(w[n][k]) * double(x[t][k]) + bias[n], rounded to float32 once.
// Weights as the file has them, dequantized by the format's definition. With q8 or f16 activations x is rounded first, as the fast kernels round it.
#include <algorithm>
#include <cmath>

#include "core/formats.h"
#include "core/half.h"
#include "cpu/ops/ops.h"
#include "cpu/ops/stages.h"

namespace kl::cpu {
namespace {

constexpr uint32_t kOutputsPerTask = 8;
constexpr uint32_t kChunk = 256;  // weights dequantized at a time: a block of every format divides it

struct Args {
  const float* x = nullptr;
  float* rounded = nullptr;  // [rows k], or null: x is read as it is
  ActivationFormat activations = ActivationFormat::f32;
  const std::byte* w = nullptr;
  Format format = Format::f32;
  const float* bias = nullptr;
  float* y = nullptr;
  uint32_t n = 0, k = 0;
  Rows row_class = Rows::step;
};

uint32_t round_tasks(const Args& a, const StepState& step) { return row_tasks(live_rows(step, a.row_class)); }

// q8: groups of 32, s = max|x| / 127, q = round_to_even(x * (127 / max|x|)), value s q.
void round_q8(const float* x, float* out, uint32_t k) {
  for (uint32_t first = 0; first < k; first += 32) {
    const uint32_t last = std::min(k, first + 32);
    float most = 0;
    for (uint32_t i = first; i < last; ++i) most = std::max(most, std::fabs(x[i]));
    const float scale = most <= 0x1p-100f ? 0.0f : most / 127.0f, inverse = most <= 0x1p-100f ? 0.0f : 127.0f / most;
    for (uint32_t i = first; i < last; ++i) out[i] = scale * std::nearbyintf(x[i] * inverse);
  }
}

void round_run(const Args& a, const StepState& step, uint32_t task, uint32_t) {
  const uint32_t first = task * kRowsPerTask, last = std::min(live_rows(step, a.row_class), first + kRowsPerTask);
  for (size_t t = first; t < last; ++t) {
    const float* x = a.x + t * a.k;
    float* out = a.rounded + t * a.k;
    if (a.activations == ActivationFormat::q8) {
      round_q8(x, out, a.k);
    } else {
      for (uint32_t i = 0; i < a.k; ++i) out[i] = f16_to_f32(f32_to_f16(x[i]));
    }
  }
}

uint32_t tasks(const Args& a, const StepState&) { return (a.n + kOutputsPerTask - 1) / kOutputsPerTask; }

void run(const Args& a, const StepState& step, uint32_t task, uint32_t) {
  constexpr size_t kRowBlock = 64;  // double sums kept while a chunk of weights is at hand
  const uint32_t rows = live_rows(step, a.row_class);
  const float* x = a.rounded != nullptr ? a.rounded : a.x;
  const uint64_t stride = row_bytes(a.format, a.k);
  float w[kChunk];
  double sum[kRowBlock];
  for (uint32_t n = task * kOutputsPerTask; n < std::min(a.n, (task + 1) * kOutputsPerTask); ++n) {
    for (size_t t0 = 0; t0 < rows; t0 += kRowBlock) {
      const size_t count = std::min<size_t>(kRowBlock, rows - t0);
      std::fill(sum, sum + count, 0.0);
      for (uint32_t k0 = 0; k0 < a.k; k0 += kChunk) {
        const uint32_t length = std::min(kChunk, a.k - k0);
        dequantize_row(a.format, a.w + n * stride + row_bytes(a.format, k0), w, length);
        for (size_t t = 0; t < count; ++t) {
          const float* row = x + (t0 + t) * a.k + k0;
          double s = sum[t];
          for (uint32_t i = 0; i < length; ++i) s += static_cast<double>(w[i]) * static_cast<double>(row[i]);
          sum[t] = s;
        }
      }
      const double bias = a.bias != nullptr ? static_cast<double>(a.bias[n]) : 0.0;
      for (size_t t = 0; t < count; ++t) a.y[(t0 + t) * a.n + n] = static_cast<float>(sum[t] + bias);
    }
  }
}

// F32, F16 and BF16 weights are never met with rounded activations.
ActivationFormat rounding(const SupportContext& c, WeightId w) {
  return reads_q8(c.info(w).format) ? c.config.activations : ActivationFormat::f32;
}

Answer support(const Op& op, const SupportContext& c) {
  const auto& o = std::get<Linear>(op);
  Support s;
  s.activations = rounding(c, o.w);
  s.weights.push_back({o.w, kCanonical});
  use_vector(s, o.bias);
  if (s.activations != ActivationFormat::f32) {
    s.stages.push_back({"round"});
    s.scratch_bytes = round_up(max_rows(c, c.program.info(o.x).rows) * c.info(o.w).k * sizeof(float), 64);
  }
  s.stages.push_back({"linear"});
  return s;
}

Status bind(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<Linear>(op);
  Args a;
  a.x = c.value(o.x);
  a.activations = c.planned.support.activations;
  a.rounded = a.activations != ActivationFormat::f32 ? reinterpret_cast<float*>(c.scratch()) : nullptr;
  a.w = c.weight(o.w);
  a.format = c.info(o.w).format;
  a.bias = c.vector(o.bias);
  a.y = c.value(o.out);
  a.n = c.info(o.w).n;
  a.k = c.info(o.w).k;
  a.row_class = c.rows(o.x);
  const auto shared = std::make_shared<const Args>(a);
  if (a.rounded != nullptr) out.push_back(make_launch<Args, round_run, round_tasks>(shared));
  out.push_back(make_launch<Args, run, tasks>(shared));
  return {};
}

}  // namespace

const CpuKernel kReferenceLinear = {"reference.linear", "linear", support, bind};

}  // namespace kl::cpu
