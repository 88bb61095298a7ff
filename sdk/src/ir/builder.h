// Writes a Program in reading order. Every call appends one op and returns the value it makes; shapes follow from the operands.
// Mistakes of a description (a width that does not fit) are found by check(program), not here.
#pragma once
#include <utility>

#include "ir/program.h"

namespace kl {

class Builder {
 public:
  Program program;

  WeightId weight(WeightInfo info) {
    program.weights.push_back(std::move(info));
    return {static_cast<uint32_t>(program.weights.size() - 1)};
  }
  void cut() { program.cuts.push_back(static_cast<uint32_t>(program.ops.size())); }

  Value gather_rows(WeightId table, float scale, RowIndex index = RowIndex::token, bool features = false);
  Value patchify(Patchify op);
  Value norm(Value x, WeightId gain, float eps, uint32_t parts = 1, NormKind kind = NormKind::rms, WeightId bias = {});
  Value linear(Value x, WeightId w, WeightId bias = {});
  Value rope(Value x, uint32_t heads, uint32_t head_size, const RopeSpec& rope);
  void kv_write(Value k, Value v, KvRef cache, uint32_t heads, uint32_t head_size);
  Value attention(Attention op);
  Value dense_attention(DenseAttention op);
  Value pool(Value x, PoolKind kind);  // Program::pool rows each
  Value activate(Value gate, Value up, Activation activation);
  Value add(Value a, Value b);
  Value select_rows(Value x);
  Value sample(Value logits);

  Value norm_linear(Value x, WeightId gain, float eps, WeightId w, WeightId bias = {});
  Value norm_qkv_rope(NormQkvRope op);
  Value linear_residual(Value x, WeightId w, Value residual, WeightId bias = {});
  Value norm_add(Value x, WeightId gain, float eps, Value residual);
  Value linear_norm_add(Value x, WeightId w, WeightId gain, float eps, Value residual);
  Value norm_gate_up(Value x, WeightId gain, float eps, WeightId gate, WeightId up, Activation activation);
  Value select_norm_head(Value x, WeightId gain, float eps, WeightId head);

 private:
  Value make(Rows rows, uint32_t width, ValueType type = ValueType::f32) {
    program.values.push_back({rows, width, type});
    return {static_cast<uint32_t>(program.values.size() - 1)};
  }
  uint32_t width(Value v) const { return v.id < program.values.size() ? program.values[v.id].width : 0; }
  Rows rows(Value v) const { return v.id < program.values.size() ? program.values[v.id].rows : Rows::step; }
  uint32_t n(WeightId w) const { return w.id < program.weights.size() ? program.weights[w.id].n : 0; }
};

}  // namespace kl
