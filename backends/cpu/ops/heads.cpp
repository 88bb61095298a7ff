// rope and kv_write as ops of their own: what norm_qkv_rope's definition is made of.
#include <algorithm>
#include <cstring>

#include "cpu/ops/ops.h"
#include "cpu/ops/stages.h"

namespace kl::cpu {
namespace {

uint32_t live_tasks(const StepState& step) { return row_tasks(step.params.header().rows); }

struct RopeArgs {
  const CpuAttentionKernels* kernels = nullptr;
  const StepRope* rope = nullptr;
  RopeStyle style = RopeStyle::neighbours;
  const float* x = nullptr;
  float* y = nullptr;
  uint32_t heads = 0, head_size = 0;
};

uint32_t rope_tasks(const RopeArgs&, const StepState& step) { return live_tasks(step); }

void rope_run(const RopeArgs& a, const StepState& step, uint32_t task, uint32_t) {
  const uint32_t first = task * kRowsPerTask, last = std::min(step.params.header().rows, first + kRowsPerTask);
  const size_t width = size_t{a.heads} * a.head_size;
  std::memcpy(a.y + first * width, a.x + first * width, (last - first) * width * sizeof(float));
  const uint32_t dims = a.rope->spec.dims;
  a.kernels->rope(a.y + first * width, width, a.rope->table.data() + size_t{first} * dims, last - first, a.heads, a.head_size, dims,
                  a.style);
}

Answer support_rope(const Op& op, const SupportContext& c) {
  Support s;
  s.kernel = c.isa;
  s.stages = {{"rope"}};
  use_vector(s, std::get<Rope>(op).rope.factors);
  return s;
}

Status bind_rope(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<Rope>(op);
  KL_ASSIGN(const StepRope* rope, c.rope(o.rope));
  const RopeArgs a{&c.attention, rope, o.rope.style, c.value(o.x), c.value(o.out), o.heads, o.head_size};
  out.push_back(make_launch<RopeArgs, rope_run, rope_tasks>(std::make_shared<const RopeArgs>(a)));
  return {};
}

struct WriteArgs {
  const CpuAttentionKernels* kernels = nullptr;
  KvLayer cache;
  uint32_t group = 0;
  const float *k = nullptr, *v = nullptr;
  size_t width = 0;
};

uint32_t write_tasks(const WriteArgs&, const StepState& step) { return live_tasks(step); }

void write_run(const WriteArgs& a, const StepState& step, uint32_t task, uint32_t) {
  const uint32_t first = task * kRowsPerTask, last = std::min(step.params.header().rows, first + kRowsPerTask);
  for (uint32_t r = first; r < last;) {
    const uint32_t sequence = step.params.row_sequence()[r];
    uint32_t end = r + 1;
    while (end < last && step.params.row_sequence()[end] == sequence) ++end;
    a.kernels->kv_write(a.cache, step.params.block_table(a.group, sequence), step.params.row_slot() + r, a.k + r * a.width,
                        a.v + r * a.width, a.width, end - r);
    r = end;
  }
}

Answer support_write(const Op& op, const SupportContext& c) {
  const auto& o = std::get<KvWrite>(op);
  if (!valid(KvPageShape{c.config.kv, o.head_size, o.heads}))
    return refuse("head size %u is not a multiple of 8 from 8 to 1024", o.head_size);
  Support s;
  s.kernel = std::string(kv_layout_name(c.config.kv)) + "." + c.isa;
  s.stages = {{"write"}};
  return s;
}

Status bind_write(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<KvWrite>(op);
  const WriteArgs a{&c.attention, c.kv(o.cache), o.cache.group, c.value(o.k), c.value(o.v), c.width(o.k)};
  out.push_back(make_launch<WriteArgs, write_run, write_tasks>(std::make_shared<const WriteArgs>(a)));
  return {};
}

}  // namespace

const CpuKernel kRope = {"rope", "rope", support_rope, bind_rope};
const CpuKernel kKvWrite = {"kv_write", "kv_write", support_write, bind_write};

}  // namespace kl::cpu
