// The CPU device's kernels: rows ordered best first. A row's predicate and its launcher stand in the same file (ops/<op>.cpp, reference/<op>.cpp).
#pragma once
#include <algorithm>
#include <span>

#include "backend/kernel_choice.h"
#include "cpu/isa/attention_kernels.h"
#include "cpu/isa/kernels.h"
#include "cpu/launch.h"
#include "plan/plan.h"

namespace kl::cpu {

inline constexpr const char* kCanonical = "canonical";  // the file's own bytes, in place
inline constexpr const char* kVector = "f32/vector";    // [k] float32: gains, biases, frequency factors

// What a predicate may look at.
struct SupportContext {
  const Program& program;
  const RunConfig& config;
  const char* isa = "";  // for the kernel's printed name
  uint32_t threads = 1;

  const WeightInfo& info(WeightId w) const { return program.info(w); }
};

// What a launcher binds to: fixed addresses, the kernels of this machine, and the step state that later launches will see.
struct BindContext {
  const Plan& plan;
  const PlannedOp& planned;
  const Bindings& bindings;
  const CpuKernels& kernels;
  const CpuAttentionKernels& attention;
  StepState& state;

  float* value(Value v) const {
    if (!v.valid()) return nullptr;
    if (bindings.drawn != nullptr && v.id == plan.program.greedy.id) return reinterpret_cast<float*>(bindings.drawn->host());
    return reinterpret_cast<float*>(bindings.arena->host() + plan.value_offset[v.id]);
  }
  size_t width(Value v) const { return plan.program.info(v).width; }
  std::byte* scratch() const { return bindings.arena->host() + planned.scratch_offset; }
  const std::byte* weight(WeightId w) const;  // in the layout that support() named; null when w is absent
  const float* vector(WeightId w) const { return reinterpret_cast<const float*>(weight(w)); }
  const WeightInfo& info(WeightId w) const { return plan.program.info(w); }
  LinearWeight linear(WeightId w, WeightId bias) const;
  KvLayer kv(KvRef ref) const;
  KvPageShape kv_shape(KvRef ref) const;
  // The step's shared tables, created at the first use of their kind.
  Result<const StepRope*> rope(const RopeSpec& spec) const;
  const StepSplit* split(KvRef ref, uint32_t heads, uint32_t window) const;
  const StepRanges* ranges(uint32_t segmentation) const;
  // Bytes that each running task of this recording may use at StepState::scratch + thread * scratch_stride; the largest request counts.
  void need_thread_scratch(size_t bytes) const { state.scratch_stride = std::max(state.scratch_stride, round_up(bytes, 64)); }
  Rows rows(Value v) const { return plan.program.info(v).rows; }
};

struct CpuKernel {
  const char* name;  // "norm_gate_up.q8"
  const char* op;    // name(Op)
  Answer (*support)(const Op& op, const SupportContext& context);
  Status (*bind)(const Op& op, const BindContext& context, std::vector<Launch>& out);
};

std::span<const CpuKernel> fast_kernels();       // the "cpu" device: SIMD rows, then the reference's as the last resort
std::span<const CpuKernel> reference_kernels();  // the "reference" device: scalar, double accumulation, canonical weights, primitives only

// Rows of a step that a value of this class has.
inline uint32_t live_rows(const StepState& step, Rows rows) {
  const StepHeader& header = step.params.header();
  return rows == Rows::step ? header.rows : rows == Rows::outputs ? header.outputs : header.rows / step.pool;
}

// What GatherRows looks up for row t.
inline int32_t row_index(const StepState& step, RowIndex index, uint32_t t) {
  if (index != RowIndex::token) return step.params.positions()[3 * size_t{t} + static_cast<size_t>(index) - 1];
  const int32_t token = step.params.tokens()[t];
  if (token >= kFedTokensEnd) return token;
  // Of a row that was not to be drawn, or could not be: any token, for nobody asks what comes of it.
  return step.fed != nullptr ? std::max(step.fed[token - kFedToken], 0) : 0;
}
inline uint32_t feature_rows(const StepState& step) { return step.features != nullptr ? step.params.limits().feature_rows : 0; }

// The first pixel of row t's patch of size x size; null when the row has none (or one that would not lie in the pixels: the caller checks
// step data, but nothing here reads outside the block).
inline const std::byte* patch_of(const StepState& step, uint32_t t, uint32_t size) {
  const uint32_t at = step.params.row_pixel()[t];
  const uint64_t end = at + uint64_t{size - 1} * step.params.header().pixel_stride + uint64_t{3} * size;
  return step.pixels != nullptr && at != kNoPixel && end <= step.params.limits().pixel_bytes ? step.pixels + at : nullptr;
}

}  // namespace kl::cpu
