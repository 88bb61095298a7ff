#include "ir/linear_operands.h"

namespace kl {
namespace {

struct ToOperands {
  LinearOperands operator()(const Linear& o) const { return {.x = o.x, .out = o.out, .w = o.w, .bias = o.bias}; }
  LinearOperands operator()(const NormLinear& o) const {
    return {.x = o.x, .out = o.out, .gain = o.gain, .w = o.w, .bias = o.bias, .eps = o.eps};
  }
  LinearOperands operator()(const LinearResidual& o) const {
    return {.x = o.x, .out = o.out, .residual = o.residual, .w = o.w, .bias = o.bias};
  }
  LinearOperands operator()(const LinearNormAdd& o) const {
    return {.x = o.x, .out = o.out, .residual = o.residual, .w = o.w, .out_gain = o.gain, .eps = o.eps};
  }
  LinearOperands operator()(const NormGateUp& o) const {
    return {.x = o.x, .out = o.out, .gain = o.gain, .w = o.gate, .up = o.up, .eps = o.eps, .activation = o.activation};
  }
  LinearOperands operator()(const SelectNormHead& o) const {
    return {.x = o.x, .out = o.out, .gain = o.gain, .w = o.head, .eps = o.eps, .selects = true};
  }
  template <class Other>
  LinearOperands operator()(const Other&) const {
    return {};
  }
};

}  // namespace

LinearOperands linear_operands(const Op& op) { return std::visit(ToOperands{}, op); }

}  // namespace kl
