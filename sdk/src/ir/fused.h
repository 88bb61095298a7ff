// A fused op is its definition: expand() rewrites it in simpler ops, and that is what runs where a backend has no kernel for it.
#pragma once
#include <optional>
#include <vector>

#include "ir/program.h"

namespace kl {

// The ops that `op` means, appending the values between them to program.values. Nothing when op is a primitive.
std::optional<std::vector<Op>> expand(Program& program, const Op& op);

}  // namespace kl
