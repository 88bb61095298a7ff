// A Plan: a Program with implementations, stages, memory offsets, barriers and segments decided. Made before anything large is allocated;
// prints as text. Immutable.
#pragma once
#include <string>
#include <vector>

#include "backend/device.h"

namespace kl {

struct PlannedOp {
  Op op;
  Support support;
  uint64_t scratch_offset = 0;  // in the arena
  bool barrier = true;          // an earlier op since the last barrier touches the same memory
};

struct Segment {
  uint32_t first = 0, last = 0;  // ops [first, last)
};

struct Plan {
  Program program;  // after expansion: ops are those of `ops`, values include the ones between
  RunConfig config;
  std::vector<PlannedOp> ops;
  std::vector<Segment> segments;
  std::vector<uint64_t> value_offset;  // [values] in the arena; kNoOffset: the value is not used
  uint64_t arena_bytes = 0;
  std::vector<WeightUse> weights;  // every (weight, layout) once, in order of first use

  static constexpr uint64_t kNoOffset = ~uint64_t{0};
  uint64_t value_bytes(Value v) const;
};

// Asks `device` for every op, expands what it refuses, lays out memory and barriers, cuts segments. Errors: unsupported, naming the op and every
// kernel's reason.
Result<Plan> make_plan(const Program& program, const Device& device, const RunConfig& config);

// Bytes each op's operands and scratch take in the arena: the plan dump ends with the totals.
std::string to_text(const Plan& plan);
// Per distinct kernel: how many ops it runs, and why better ones were skipped.
std::string support_text(const Plan& plan);

}  // namespace kl
