// attention over the paged cache. Stages: tasks of the step's split (whole rows, or spans into partial results); the merge of partial results.
#include "cpu/ops/ops.h"
#include "cpu/ops/stages.h"

namespace kl::cpu {
namespace {

struct Args {
  const CpuAttentionKernels* kernels = nullptr;
  const StepSplit* split = nullptr;
  AttentionArgs attention;  // q, out, cache, heads, ...; positions and pages are set from the step
  float* partials = nullptr;
  uint32_t group = 0;
};

AttentionShape shape_of(const Attention& o) { return {o.kv_heads, o.heads / o.kv_heads, o.head_size, o.window}; }

Answer support(const Op& op, const SupportContext& c) {
  const auto& o = std::get<Attention>(op);
  if (!valid(KvPageShape{c.config.kv, o.head_size, o.kv_heads}))
    return refuse("head size %u is not a multiple of 8 from 8 to 1024", o.head_size);
  Support s;
  s.kernel = std::string(kv_layout_name(c.config.kv)) + "." + c.isa;
  use_vector(s, o.sinks);
  s.stages = {{"rows and spans"}, {"merge"}};
  s.scratch_bytes = round_up(
      attention_partial_floats_bound(shape_of(o), c.config.rows, c.config.limits.pages * kKvPageTokens, c.threads) * sizeof(float), 64);
  return s;
}

AttentionArgs of_sequence(const Args& a, const StepState& step, uint32_t sequence) {
  AttentionArgs args = a.attention;
  args.positions = step.params.row_slot();
  args.row_spans = step.params.row_span();
  args.pages = step.params.block_table(a.group, sequence);
  return args;
}

uint32_t tasks(const Args& a, const StepState&) { return static_cast<uint32_t>(a.split->split.tasks.size()); }

void run(const Args& a, const StepState& step, uint32_t index, uint32_t thread) {
  const AttentionTask& t = a.split->split.tasks[index];
  const AttentionArgs args = of_sequence(a, step, t.sequence);
  std::byte* scratch = step.scratch + thread * step.scratch_stride;
  if (t.partial == kDirect) {
    a.kernels->attention(args, t.row0, t.row1, t.kv_head, scratch);
  } else {
    const AttentionMerge& m = a.split->split.merges[t.partial];
    a.kernels->attention_partial(args, t.row0, t.row1, t.kv_head, t.span0, t.span1, {a.partials + m.partial_offset, m.first_span, m.spans},
                                 scratch);
  }
}

uint32_t merge_tasks(const Args& a, const StepState&) { return static_cast<uint32_t>(a.split->split.merges.size()); }

void merge_run(const Args& a, const StepState& step, uint32_t index, uint32_t thread) {
  const AttentionMerge& m = a.split->split.merges[index];
  a.kernels->attention_merge(of_sequence(a, step, m.sequence), m.row0, m.row1, m.kv_head,
                             {a.partials + m.partial_offset, m.first_span, m.spans}, step.scratch + thread * step.scratch_stride);
}

Status bind(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<Attention>(op);
  Args a;
  a.kernels = &c.attention;
  a.split = c.split(o.cache, o.heads, o.window);
  a.group = o.cache.group;
  a.partials = reinterpret_cast<float*>(c.scratch());
  c.need_thread_scratch(attention_scratch_bytes(c.kv_shape(o.cache), o.heads));
  a.attention.q = c.value(o.q);
  a.attention.q_stride = c.width(o.q);
  a.attention.out = c.value(o.out);
  a.attention.out_stride = c.width(o.out);
  a.attention.cache = c.kv(o.cache);
  a.attention.heads = o.heads;
  a.attention.window = o.window;
  a.attention.scale = o.scale;
  a.attention.cap = o.cap;
  a.attention.sinks = c.vector(o.sinks);
  const auto shared = std::make_shared<const Args>(a);
  out.push_back(make_launch<Args, run, tasks>(shared));
  out.push_back(make_launch<Args, merge_run, merge_tasks>(shared));
  return {};
}

}  // namespace

const CpuKernel kAttention = {"attention", "attention", support, bind};

}  // namespace kl::cpu
