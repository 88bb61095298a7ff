// attention and kv_write, the oracle: softmax(scale q K' + mask) V in double over rows decoded by the page formula.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/ops/ops.h"
#include "cpu/ops/stages.h"

namespace kl::cpu {
namespace {

constexpr uint32_t kMaxHeadSize = 1024;  // valid(KvPageShape) holds every op to it

struct AttentionOp {
  Attention op;
  const float* q = nullptr;
  float* out = nullptr;
  const float* sinks = nullptr;
  KvLayer cache;
};

uint32_t tasks(const AttentionOp& a, const StepState& step) { return step.params.header().rows * a.op.heads; }

void run(const AttentionOp& a, const StepState& step, uint32_t task, uint32_t) {
  const uint32_t t = task / a.op.heads, h = task % a.op.heads, d = a.op.head_size;
  const uint32_t g = h / (a.op.heads / a.op.kv_heads);
  const uint32_t* pages = step.params.block_table(a.op.cache.group, step.params.row_sequence()[t]);
  const int64_t slot = step.params.row_slot()[t];
  const uint32_t* span = step.params.row_span() + size_t{2} * t;
  const int64_t first = a.op.window == 0 ? 0 : std::max<int64_t>(0, slot - a.op.window + 1);
  const int64_t end = std::max<int64_t>(span[1], slot + 1);
  const size_t page_bytes = kv_page_layout(a.cache.shape).page_bytes;
  const float* q = a.q + (size_t{t} * a.op.heads + h) * d;

  double most = a.sinks != nullptr ? static_cast<double>(a.sinks[h]) : -std::numeric_limits<double>::infinity();
  double sum = a.sinks != nullptr ? 1.0 : 0.0;
  double acc[kMaxHeadSize];
  float row[kMaxHeadSize];
  std::fill(acc, acc + d, 0.0);
  for (int64_t s = first; s < end; ++s) {
    const std::byte* page = a.cache.base + pages[s / kKvPageTokens] * page_bytes;
    const auto token = static_cast<uint32_t>(s % kKvPageTokens);
    kv_decode_k(a.cache.shape, page, g, token, row);
    double score = 0;
    for (uint32_t i = 0; i < d; ++i) score += static_cast<double>(q[i]) * static_cast<double>(row[i]);
    score *= static_cast<double>(a.op.scale);
    if (a.op.cap != 0.0f) score = static_cast<double>(a.op.cap) * std::tanh(score / static_cast<double>(a.op.cap));
    const double top = std::max(most, score), keep = std::exp(most - top), weight = std::exp(score - top);
    kv_decode_v(a.cache.shape, page, g, token, row);
    for (uint32_t i = 0; i < d; ++i) acc[i] = acc[i] * keep + weight * static_cast<double>(row[i]);
    sum = sum * keep + weight;
    most = top;
  }
  float* out = a.out + (size_t{t} * a.op.heads + h) * d;
  for (uint32_t i = 0; i < d; ++i) out[i] = static_cast<float>(acc[i] / sum);
}

Answer support(const Op& op, const SupportContext& c) {
  const auto& o = std::get<Attention>(op);
  if (!valid(KvPageShape{c.config.kv, o.head_size, o.kv_heads}))
    return refuse("head size %u is not a multiple of 8 from 8 to 1024", o.head_size);
  Support s;
  s.stages = {{"attention"}};
  use_vector(s, o.sinks);
  return s;
}

Status bind(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<Attention>(op);
  const AttentionOp a{o, c.value(o.q), c.value(o.out), c.vector(o.sinks), c.kv(o.cache)};
  out.push_back(make_launch<AttentionOp, run, tasks>(std::make_shared<const AttentionOp>(a)));
  return {};
}

struct WriteOp {
  KvWrite op;
  const float *k = nullptr, *v = nullptr;
  KvLayer cache;
};

uint32_t write_tasks(const WriteOp&, const StepState& step) { return step.params.header().rows; }

void write_run(const WriteOp& a, const StepState& step, uint32_t t, uint32_t) {
  const uint32_t position = static_cast<uint32_t>(step.params.row_slot()[t]);
  const uint32_t* pages = step.params.block_table(a.op.cache.group, step.params.row_sequence()[t]);
  std::byte* page = a.cache.base + pages[position / kKvPageTokens] * kv_page_layout(a.cache.shape).page_bytes;
  for (uint32_t g = 0; g < a.op.heads; ++g) {
    const size_t at = (size_t{t} * a.op.heads + g) * a.op.head_size;
    kv_encode_k(a.cache.shape, page, g, position % kKvPageTokens, a.k + at);
    kv_encode_v(a.cache.shape, page, g, position % kKvPageTokens, a.v + at);
  }
}

Answer support_write(const Op& op, const SupportContext& c) {
  const auto& o = std::get<KvWrite>(op);
  if (!valid(KvPageShape{c.config.kv, o.head_size, o.heads}))
    return refuse("head size %u is not a multiple of 8 from 8 to 1024", o.head_size);
  Support s;
  s.stages = {{"write"}};
  return s;
}

Status bind_write(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<KvWrite>(op);
  const WriteOp a{o, c.value(o.k), c.value(o.v), c.kv(o.cache)};
  out.push_back(make_launch<WriteOp, write_run, write_tasks>(std::make_shared<const WriteOp>(a)));
  return {};
}

}  // namespace

const CpuKernel kReferenceAttention = {"reference.attention", "attention", support, bind};
const CpuKernel kReferenceKvWrite = {"reference.kv_write", "kv_write", support_write, bind_write};

}  // namespace kl::cpu
