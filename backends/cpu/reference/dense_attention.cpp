// dense_attention, the oracle: softmax(scale q k') v over the rows of the row's own range, in double; zeros for an empty range. One row and head
// a task.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/ops/ops.h"
#include "cpu/ops/stages.h"

namespace kl::cpu {
namespace {

constexpr uint32_t kMaxHeadSize = 1024;

struct Args {
  DenseAttention op;
  const float *q = nullptr, *k = nullptr, *v = nullptr;  // [T H*D] each
  float* out = nullptr;                                  // [T H*D]
};

uint32_t tasks(const Args& a, const StepState& step) { return step.params.header().rows * a.op.heads; }

void run(const Args& a, const StepState& step, uint32_t task, uint32_t) {
  const uint32_t t = task / a.op.heads, h = task % a.op.heads, d = a.op.head_size;
  const uint32_t* range = step.params.row_range(a.op.segmentation) + size_t{2} * t;
  const uint32_t first = range[0], end = std::min(range[1], step.params.header().rows);
  const size_t width = size_t{a.op.heads} * d, at = size_t{h} * d;
  const float* q = a.q + t * width + at;
  double most = -std::numeric_limits<double>::infinity(), sum = 0;
  double acc[kMaxHeadSize];
  std::fill(acc, acc + d, 0.0);
  for (size_t r = first; r < end; ++r) {
    const float *k = a.k + r * width + at, *v = a.v + r * width + at;
    double score = 0;
    for (uint32_t i = 0; i < d; ++i) score += static_cast<double>(q[i]) * static_cast<double>(k[i]);
    score *= static_cast<double>(a.op.scale);
    const double top = std::max(most, score), keep = std::exp(most - top), weight = std::exp(score - top);
    for (uint32_t i = 0; i < d; ++i) acc[i] = acc[i] * keep + weight * static_cast<double>(v[i]);
    sum = sum * keep + weight;
    most = top;
  }
  for (uint32_t i = 0; i < d; ++i) a.out[t * width + at + i] = sum > 0 ? static_cast<float>(acc[i] / sum) : 0.0f;
}

Answer support(const Op& op, const SupportContext& c) {
  const auto& o = std::get<DenseAttention>(op);
  if (o.head_size > kMaxHeadSize) return refuse("head size %u is more than %u", o.head_size, kMaxHeadSize);
  if (o.segmentation >= c.config.limits.segmentations)
    return refuse("segmentation %u of %u", o.segmentation, c.config.limits.segmentations);
  Support s;
  s.stages = {{"attention"}};
  return s;
}

Status bind(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<DenseAttention>(op);
  const Args a{o, c.value(o.q), c.value(o.k), c.value(o.v), c.value(o.out)};
  out.push_back(make_launch<Args, run, tasks>(std::make_shared<const Args>(a)));
  return {};
}

}  // namespace

const CpuKernel kReferenceDenseAttention = {"reference.dense_attention", "dense_attention", support, bind};

}  // namespace kl::cpu
