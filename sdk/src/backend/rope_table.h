// cos and sin of positions for devices whose own are not to be trusted with large angles: [3][256][pairs] for the three base-256 digits of a position, in double
// precision on the host; behind them which position component turns each pair. The addition theorem joins the digits. 24-bit positions: more than any context.
#pragma once
#include <cstdint>
#include <vector>

#include "core/status.h"
#include "ir/op.h"

namespace kl {

struct RopeTable {
  std::vector<float> turns;          // [3][256][pairs][2] cos, sin; the lowest digit carries the attention factor
  std::vector<uint32_t> components;  // [pairs]
};

// factors: empty or [dims / 2]. Errors: invalid_argument (base, scale or a factor not positive and finite, sections that are not all pairs).
Result<RopeTable> rope_table(const RopeSpec& spec, const std::vector<float>& factors);
// The specs have the same table, given the same factors.
bool same_rope_table(const RopeSpec& a, const RopeSpec& b);

}  // namespace kl
