#include "cpu/recording.h"

#include <algorithm>
#include <cstring>

#include "cpu/memory.h"
#include "cpu/pack/pack.h"

namespace kl::cpu {

const CpuAttentionKernels& attention_kernels(Isa isa) {
  const CpuAttentionKernels* table = nullptr;
  if (isa == Isa::avx512) table = attention_kernels_avx512();
  if (isa == Isa::avx2) table = attention_kernels_avx2();
  if (isa == Isa::neon) table = attention_kernels_neon();
  return table != nullptr ? *table : *attention_kernels_generic();
}

const std::byte* BindContext::weight(WeightId w) const {
  if (!w.valid()) return nullptr;
  for (const WeightUse& use : planned.support.weights) {
    if (use.weight == w) return bindings.weight(use).host;
  }
  return nullptr;
}

LinearWeight BindContext::linear(WeightId w, WeightId bias) const {
  LinearWeight out;
  if (!w.valid()) return out;
  out.panels = weight(w);
  out.format = info(w).format;
  out.bias = vector(bias);
  return out;
}

KvPageShape BindContext::kv_shape(KvRef ref) const {
  const KvGroupInfo& g = plan.program.kv_groups[ref.group];
  return {plan.config.kv, g.head_size, g.heads};
}

KvLayer BindContext::kv(KvRef ref) const {
  const KvPageShape shape = kv_shape(ref);
  const size_t layer_bytes = plan.config.kv_pages[ref.group] * kv_page_layout(shape).page_bytes;
  return {bindings.kv[ref.group]->host() + ref.layer * layer_bytes, shape};
}

namespace {

bool same(const RopeSpec& a, const RopeSpec& b) {
  return a.dims == b.dims && a.base == b.base && a.scale == b.scale && a.attention_factor == b.attention_factor && a.factors == b.factors &&
         std::equal(std::begin(a.sections), std::end(a.sections), std::begin(b.sections)) && a.section_frequencies == b.section_frequencies;
}

}  // namespace

Result<const StepRope*> BindContext::rope(const RopeSpec& spec) const {
  for (const auto& each : state.ropes) {
    if (same(each->spec, spec)) return const_cast<const StepRope*>(each.get());
  }
  auto made = std::make_unique<StepRope>();
  made->spec = spec;
  std::span<const float> factors;
  if (spec.factors.valid()) factors = {vector(spec.factors), spec.dims / 2};
  KL_ASSIGN(made->frequencies, rope_frequencies(spec, factors));
  made->table.resize(size_t{plan.config.rows} * spec.dims);
  state.ropes.push_back(std::move(made));
  return const_cast<const StepRope*>(state.ropes.back().get());
}

const StepSplit* BindContext::split(KvRef ref, uint32_t heads, uint32_t window) const {
  const KvGroupInfo& g = plan.program.kv_groups[ref.group];
  const AttentionShape shape{g.heads, heads / g.heads, g.head_size, window};
  for (const auto& each : state.splits) {
    if (each->group == ref.group && each->shape.group == shape.group && each->shape.window == window) return each.get();
  }
  state.splits.push_back(std::make_unique<StepSplit>(StepSplit{ref.group, shape, {}}));
  return state.splits.back().get();
}

const StepRanges* BindContext::ranges(uint32_t segmentation) const {
  for (const auto& each : state.ranges) {
    if (each->segmentation == segmentation) return each.get();
  }
  state.ranges.push_back(std::make_unique<StepRanges>(StepRanges{segmentation, {}}));
  return state.ranges.back().get();
}

namespace {

// A range begins where the one before ended. One that would run past the step's rows or hold none is cut to what can be: the caller checks step data,
// but nothing here reads outside it.
void tile_ranges(const uint32_t* row_range, uint32_t rows, std::vector<RangeTile>& tiles) {
  tiles.clear();
  for (uint32_t first = 0; first < rows;) {
    const uint32_t end = std::min(rows, std::max(first + 1, row_range[2 * first + 1]));
    for (uint32_t row = first; row < end; row += kDenseTileRows) tiles.push_back({row, std::min(end, row + kDenseTileRows), first, end});
    first = end;
  }
}

// Launch 0 of every recording: the angles of the step's rows.
struct RopeArgs {
  const StepState* state;
};
constexpr uint32_t kRopeRows = 16;  // rows per task: some tens of microseconds

uint32_t rope_tasks(const RopeArgs& a, const StepState& step) {
  return a.state->ropes.empty() ? 0 : (step.params.header().rows + kRopeRows - 1) / kRopeRows;
}

void rope_run(const RopeArgs& a, const StepState& step, uint32_t task, uint32_t) {
  const uint32_t first = task * kRopeRows, count = std::min(kRopeRows, step.params.header().rows - first);
  for (const auto& rope : a.state->ropes) {
    rope_table(rope->frequencies, step.params.positions() + size_t{3} * first, count, rope->table.data() + size_t{first} * rope->spec.dims);
  }
}

}  // namespace

void CpuRecording::prepare_step() {
  const StepHeader& header = state_.params.header();
  state_.sequences.clear();
  for (uint32_t s = 0; s < header.sequences; ++s) {
    const StepSequenceParams& q = state_.params.sequences()[s];
    state_.sequences.push_back(
        {q.first_row, q.rows, static_cast<int32_t>(q.first_position), state_.params.row_span() + size_t{2} * q.first_row});
  }
  for (const auto& each : state_.ranges) tile_ranges(state_.params.row_range(each->segmentation), header.rows, each->tiles);
  for (const auto& each : state_.splits) split_attention(state_.sequences, each->shape, state_.threads, each->split);
}

void CpuRecording::run(ThreadTeam& team, uint32_t first, uint32_t last) {
  if (first >= last || last > segments()) return;
  if (first == 0) prepare_step();
  first_phase_ = first == 0 ? 0 : segment_end_[first - 1];
  phase_count_ = segment_end_[last - 1] - first_phase_;
  team.run(*this);
}

uint32_t CpuRecording::tasks(uint32_t phase) {
  uint32_t sum = 0;
  for (uint32_t at = phase_begin_[first_phase_ + phase]; at < phase_begin_[first_phase_ + phase + 1]; ++at) {
    sum += task_count_[at] = launches_[at].tasks(launches_[at].args.get(), state_);
  }
  return sum;
}

void CpuRecording::run(uint32_t phase, uint32_t task, uint32_t thread) {
  uint32_t at = phase_begin_[first_phase_ + phase];
  for (; task >= task_count_[at]; ++at) task -= task_count_[at];
  launches_[at].run(launches_[at].args.get(), state_, task, thread);
}

Result<std::unique_ptr<Recording>> record_plan(const Plan& plan, const Bindings& bindings, std::span<const CpuKernel> table,
                                               const CpuKernels& kernels, const CpuAttentionKernels& attention, uint32_t threads) {
  auto recording = std::make_unique<CpuRecording>();
  StepState& state = recording->state_;
  state.params = StepParams(bindings.step_params->host(), plan.config.limits);
  state.threads = threads;
  recording->phase_begin_.push_back(0);
  state.pool = plan.program.pool;
  if (bindings.fed != nullptr) state.fed = reinterpret_cast<const int32_t*>(bindings.fed->host());
  if (bindings.features != nullptr) state.features = reinterpret_cast<const float*>(bindings.features->host());
  if (bindings.pixels != nullptr) state.pixels = bindings.pixels->host();
  recording->launches_.push_back(make_launch<RopeArgs, rope_run, rope_tasks>(std::make_shared<const RopeArgs>(RopeArgs{&state})));

  for (const Segment& segment : plan.segments) {
    for (uint32_t at = segment.first; at < segment.last; ++at) {
      const PlannedOp& planned = plan.ops[at];
      const BindContext context{plan, planned, bindings, kernels, attention, state};
      const size_t before = recording->launches_.size();
      KL_TRY(table[planned.support.row].bind(planned.op, context, recording->launches_));
      const size_t made = recording->launches_.size() - before;
      if (made != planned.support.stages.size()) {
        return error(Code::internal, "kernel %s planned %zu stages and recorded %zu", planned.support.kernel.c_str(),
                     planned.support.stages.size(), made);
      }
      for (size_t stage = 0; stage < made; ++stage) {
        const bool first = stage == 0 && at == segment.first;  // segments may be submitted one by one; launch 0 makes what all others read
        const bool waits = stage == 0 ? planned.barrier : planned.support.stages[stage].barrier;
        if (first || waits) recording->phase_begin_.push_back(static_cast<uint32_t>(before + stage));
      }
    }
    recording->segment_end_.push_back(static_cast<uint32_t>(recording->phase_begin_.size()));
  }
  recording->phase_begin_.push_back(static_cast<uint32_t>(recording->launches_.size()));
  recording->task_count_.resize(recording->launches_.size());
  if (state.scratch_stride > 0) {
    KL_ASSIGN(recording->scratch_, allocate_host(state.scratch_stride * threads));
    state.scratch = recording->scratch_->host();
  }
  return std::unique_ptr<Recording>(std::move(recording));
}

}  // namespace kl::cpu
