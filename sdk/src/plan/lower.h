// The steps of planning, each a pure function of the plan so far.
#pragma once
#include "plan/plan.h"

namespace kl {

// Chooses a kernel for every op, replacing refused fused ops by their expansions until every op has one.
Status choose_kernels(const Program& program, const Device& device, const RunConfig& config, Plan& plan);
// Arena offsets for values (live from the op that makes them to the last that reads them) and scratch (live during its op).
void assign_memory(Plan& plan);
// PlannedOp::barrier: whether an op touches memory that ops since the last barrier wrote, or writes what they read.
void find_hazards(Plan& plan);
// Segments end at layer boundaries.
void cut_segments(Plan& plan);

}  // namespace kl
