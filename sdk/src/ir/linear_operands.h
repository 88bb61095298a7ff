// linear and the fused ops around one, as one shape: out = residual + norm(act(norm(select(x)) w' + bias) * (norm(x) up')), with what an op lacks left out.
// For backends, whose kernels for these ops differ in stages and not in operands.
#pragma once
#include "ir/op.h"

namespace kl {

struct LinearOperands {
  Value x = {}, out = {}, residual = {};
  WeightId gain = {}, w = {}, up = {}, bias = {};
  WeightId out_gain = {};  // of the norm before the residual is added
  float eps = 0;           // of whichever norm there is
  bool selects = false;    // the rows that logits are wanted of
  Activation activation = Activation::none;
};

// Precondition: op is one of Linear, NormLinear, LinearResidual, LinearNormAdd, NormGateUp, SelectNormHead. Of any other: all invalid.
LinearOperands linear_operands(const Op& op);

}  // namespace kl
