#include "plan/lower.h"

#include <algorithm>

#include "ir/fused.h"

namespace kl {
namespace {

// Expansions nest at most this deep (a fused op whose definition is fused).
constexpr int kMaxExpansions = 4;

Status choose(const Device& device, const RunConfig& config, const Op& op, int depth, Plan& plan) {
  Answer answer = device.support(plan.program, op, config);
  if (auto* support = std::get_if<Support>(&answer)) {
    plan.ops.push_back({op, std::move(*support), 0, true});
    return {};
  }
  const std::string& reason = std::get<Refusal>(answer).reason;
  std::optional<std::vector<Op>> definition = depth < kMaxExpansions ? expand(plan.program, op) : std::nullopt;
  if (!definition) {
    return error(Code::unsupported, "%s cannot run op %s: %s", device.info().name.c_str(), to_text(plan.program, op).c_str(),
                 reason.c_str());
  }
  for (const Op& step : *definition) KL_TRY(choose(device, config, step, depth + 1, plan));
  return {};
}

}  // namespace

Status choose_kernels(const Program& program, const Device& device, const RunConfig& config, Plan& plan) {
  plan.program = program;
  plan.config = config;
  plan.program.cuts.clear();
  size_t next_cut = 0;
  for (size_t at = 0; at < program.ops.size(); ++at) {
    while (next_cut < program.cuts.size() && program.cuts[next_cut] == at) {
      plan.program.cuts.push_back(static_cast<uint32_t>(plan.ops.size()));
      ++next_cut;
    }
    KL_TRY(choose(device, config, program.ops[at], 0, plan));
  }
  plan.program.ops.clear();
  for (const PlannedOp& planned : plan.ops) {
    plan.program.ops.push_back(planned.op);
    for (const WeightUse& use : planned.support.weights) {
      if (std::find(plan.weights.begin(), plan.weights.end(), use) == plan.weights.end()) plan.weights.push_back(use);
    }
  }
  return {};
}

void cut_segments(Plan& plan) {
  uint32_t first = 0;
  for (const uint32_t cut : plan.program.cuts) {
    if (cut > first) plan.segments.push_back({first, cut});
    first = std::max(first, cut);
  }
  const uint32_t end = static_cast<uint32_t>(plan.ops.size());
  if (end > first) plan.segments.push_back({first, end});
}

}  // namespace kl
