#include "ir/fused.h"

#include "ir/builder.h"

namespace kl {
namespace {

// Each definition is written with the Builder; its last value stands for the op's own output.
struct Definition {
  Builder& b;

  Value operator()(const NormLinear& op) { return b.linear(b.norm(op.x, op.gain, op.eps), op.w, op.bias); }

  Value operator()(const NormQkvRope& op) {
    const Value n = b.norm(op.x, op.gain, op.eps);  // [T M]
    Value q = b.linear(n, op.wq, op.bq);            // [T H*D]
    Value k = b.linear(n, op.wk, op.bk);            // [T G*D]
    const Value v = b.linear(n, op.wv, op.bv);      // [T G*D]
    if (op.q_gain.valid()) q = b.norm(q, op.q_gain, op.eps, op.heads);
    if (op.k_gain.valid()) k = b.norm(k, op.k_gain, op.eps, op.kv_heads);
    if (op.rope.enabled) {
      q = b.rope(q, op.heads, op.head_size, op.rope);
      k = b.rope(k, op.kv_heads, op.head_size, op.rope);
    }
    b.kv_write(k, v, op.cache, op.kv_heads, op.head_size);
    return q;
  }

  Value operator()(const LinearResidual& op) { return b.add(op.residual, b.linear(op.x, op.w, op.bias)); }

  Value operator()(const NormAdd& op) { return b.add(op.residual, b.norm(op.x, op.gain, op.eps)); }

  Value operator()(const LinearNormAdd& op) { return b.norm_add(b.linear(op.x, op.w), op.gain, op.eps, op.residual); }

  Value operator()(const NormGateUp& op) {
    const Value n = b.norm(op.x, op.gain, op.eps);  // [T M]
    return b.activate(b.linear(n, op.gate), b.linear(n, op.up), op.activation);
  }

  Value operator()(const SelectNormHead& op) { return b.linear(b.norm(b.select_rows(op.x), op.gain, op.eps), op.head); }

  template <class Primitive>
  Value operator()(const Primitive&) {
    return {};
  }
};

}  // namespace

std::optional<std::vector<Op>> expand(Program& program, const Op& op) {
  Builder b;
  b.program.values = program.values;
  b.program.weights = program.weights;
  const Value result = std::visit(Definition{b}, op);
  if (!result.valid()) return std::nullopt;

  const Value wanted = outputs(op).front();
  for (Op& step : b.program.ops) {
    std::visit(
        [&](auto& each) {
          if constexpr (requires { each.out; }) {
            if (each.out == result) each.out = wanted;
          }
          if constexpr (requires {
                          each.k;
                          each.v;
                        }) {
            if (each.k == result) each.k = wanted;
          }
        },
        step);
  }
  program.values = std::move(b.program.values);
  return std::move(b.program.ops);
}

}  // namespace kl
