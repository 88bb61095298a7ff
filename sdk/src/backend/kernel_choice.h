// How every backend chooses: its kernels are a table, rows ordered best first, and the first row of an op that does not refuse runs it.
#pragma once
#include <cstring>

#include "backend/device.h"

namespace kl {

// A refusal with a printf-style reason.
[[gnu::format(printf, 1, 2)]] Answer refuse(const char* format, ...);

// None of these did: every reason, or that there is no kernel of this op.
Refusal refuse_all(const Op& op, const std::vector<std::string>& reasons);

// Kernel: a row with name, op (what name(Op) says) and support(op, context). The answer names the row, and why better ones refused.
template <class Kernel, class Context>
Answer first_that_supports(std::span<const Kernel> table, const Op& op, const Context& context) {
  std::vector<std::string> skipped;
  for (uint32_t row = 0; row < table.size(); ++row) {
    const Kernel& kernel = table[row];
    if (std::strcmp(kernel.op, name(op)) != 0) continue;
    Answer answer = kernel.support(op, context);
    if (auto* support = std::get_if<Support>(&answer)) {
      support->row = row;
      support->kernel = std::string(kernel.name) + (support->kernel.empty() ? "" : "." + support->kernel);
      support->skipped = std::move(skipped);
      return answer;
    }
    skipped.push_back(std::string(kernel.name) + ": " + std::get<Refusal>(answer).reason);
  }
  return refuse_all(op, skipped);
}

// Rows of a class in a bucket, at most.
inline uint64_t max_rows(const Program& program, const RunConfig& config, Rows rows) {
  return rows == Rows::outputs ? config.outputs : rows == Rows::step ? config.rows : config.rows / program.pool;
}

}  // namespace kl
