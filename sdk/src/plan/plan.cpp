#include "plan/plan.h"

#include <map>

#include "plan/lower.h"

namespace kl {

Result<Plan> make_plan(const Program& program, const Device& device, const RunConfig& config) {
  KL_TRY(check(program));
  Plan plan;
  KL_TRY(choose_kernels(program, device, config, plan));
  assign_memory(plan);
  find_hazards(plan);
  cut_segments(plan);
  return plan;
}

std::string to_text(const Plan& plan) {
  const StepLimits& l = plan.config.limits;
  std::string text =
      format("plan: up to %u rows, %u outputs, %u sequences; cache %s; arena %s bytes; %zu segments\n", plan.config.rows,
             plan.config.outputs, l.sequences, name(plan.config.kv), with_commas(plan.arena_bytes).c_str(), plan.segments.size());
  size_t launches = 0, barriers = 0;
  for (size_t s = 0; s < plan.segments.size(); ++s) {
    text += format("segment %zu\n", s);
    for (uint32_t at = plan.segments[s].first; at < plan.segments[s].last; ++at) {
      const PlannedOp& op = plan.ops[at];
      text += format("  %s%s\n", op.barrier ? "| " : "  ", to_text(plan.program, op.op).c_str());
      text += format("      kernel %s, activations %s", op.support.kernel.c_str(), name(op.support.activations));
      for (const Value v : outputs(op.op)) text += format(", %%%u at %llu", v.id, static_cast<unsigned long long>(plan.value_offset[v.id]));
      if (op.support.scratch_bytes > 0) {
        text += format(", scratch %s at %llu", with_commas(op.support.scratch_bytes).c_str(),
                       static_cast<unsigned long long>(op.scratch_offset));
      }
      text += "; stages";
      for (const Stage& stage : op.support.stages) {
        const bool first = &stage == &op.support.stages.front();
        const bool barrier = first ? op.barrier : stage.barrier;
        text += format("%s%s", barrier ? " | " : " ", stage.name.c_str());
        launches += 1;
        barriers += barrier ? 1 : 0;
      }
      text += "\n";
    }
  }
  text += format("launches %zu, barriers %zu\n", launches, barriers);
  return text;
}

std::string support_text(const Plan& plan) {
  struct Row {
    size_t ops = 0;
    std::string skipped;
  };
  std::map<std::string, Row> rows;
  for (const PlannedOp& op : plan.ops) {
    std::string key = format("%-18s %s", name(op.op), op.support.kernel.c_str());
    for (const WeightUse& use : op.support.weights) {
      const WeightInfo& w = plan.program.info(use.weight);
      if (w.n > 1) key += format(" %s->%s", name(w.format), use.layout.c_str());
    }
    Row& row = rows[key];
    row.ops += 1;
    row.skipped.clear();
    for (const std::string& reason : op.support.skipped) row.skipped += "    skipped " + reason + "\n";
  }
  std::string text;
  for (const auto& [key, row] : rows) text += format("%4zu x %s\n%s", row.ops, key.c_str(), row.skipped.c_str());
  return text;
}

}  // namespace kl
