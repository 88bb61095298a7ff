#include "ir/builder.h"

namespace kl {

Value Builder::gather_rows(WeightId table, float scale, RowIndex index, bool features) {
  const Value out = make(Rows::step, table.valid() ? program.weights[table.id].k : 0);
  program.ops.push_back(GatherRows{out, table, scale, index, features});
  return out;
}

Value Builder::patchify(Patchify op) {
  op.out = make(Rows::step, 3 * op.size * op.size);
  program.ops.push_back(op);
  return op.out;
}

Value Builder::norm(Value x, WeightId gain, float eps, uint32_t parts, NormKind kind, WeightId bias) {
  const Value out = make(rows(x), width(x));
  program.ops.push_back(Norm{x, out, gain, bias, kind, eps, parts});
  return out;
}

Value Builder::linear(Value x, WeightId w, WeightId bias) {
  const Value out = make(rows(x), n(w));
  program.ops.push_back(Linear{x, out, w, bias});
  return out;
}

Value Builder::rope(Value x, uint32_t heads, uint32_t head_size, const RopeSpec& rope) {
  const Value out = make(rows(x), width(x));
  program.ops.push_back(Rope{x, out, heads, head_size, rope});
  return out;
}

void Builder::kv_write(Value k, Value v, KvRef cache, uint32_t heads, uint32_t head_size) {
  program.ops.push_back(KvWrite{k, v, cache, heads, head_size});
}

Value Builder::attention(Attention op) {
  op.out = make(rows(op.q), op.heads * op.head_size);
  program.ops.push_back(op);
  return op.out;
}

Value Builder::dense_attention(DenseAttention op) {
  op.out = make(rows(op.q), op.heads * op.head_size);
  program.ops.push_back(op);
  return op.out;
}

Value Builder::pool(Value x, PoolKind kind) {
  const Value out = make(Rows::pooled, kind == PoolKind::concatenate ? program.pool * width(x) : width(x));
  program.ops.push_back(Pool{x, out, kind, program.pool});
  return out;
}

Value Builder::activate(Value gate, Value up, Activation activation) {
  const Value out = make(rows(gate), width(gate));
  program.ops.push_back(Activate{gate, up, out, activation});
  return out;
}

Value Builder::add(Value a, Value b) {
  const Value out = make(rows(a), width(a));
  program.ops.push_back(Add{a, b, out});
  return out;
}

Value Builder::select_rows(Value x) {
  const Value out = make(Rows::outputs, width(x));
  program.ops.push_back(SelectRows{x, out});
  return out;
}

Value Builder::sample(Value logits) {
  const Value out = make(rows(logits), 1, ValueType::i32);
  program.ops.push_back(Sample{logits, out});
  return out;
}

Value Builder::norm_linear(Value x, WeightId gain, float eps, WeightId w, WeightId bias) {
  const Value out = make(rows(x), n(w));
  program.ops.push_back(NormLinear{x, out, gain, eps, w, bias});
  return out;
}

Value Builder::norm_qkv_rope(NormQkvRope op) {
  op.out = make(rows(op.x), op.heads * op.head_size);
  program.ops.push_back(op);
  return op.out;
}

Value Builder::linear_residual(Value x, WeightId w, Value residual, WeightId bias) {
  const Value out = make(rows(x), n(w));
  program.ops.push_back(LinearResidual{x, residual, out, w, bias});
  return out;
}

Value Builder::norm_add(Value x, WeightId gain, float eps, Value residual) {
  const Value out = make(rows(x), width(x));
  program.ops.push_back(NormAdd{x, residual, out, gain, eps});
  return out;
}

Value Builder::linear_norm_add(Value x, WeightId w, WeightId gain, float eps, Value residual) {
  const Value out = make(rows(x), n(w));
  program.ops.push_back(LinearNormAdd{x, residual, out, w, gain, eps});
  return out;
}

Value Builder::norm_gate_up(Value x, WeightId gain, float eps, WeightId gate, WeightId up, Activation activation) {
  const Value out = make(rows(x), n(gate));
  program.ops.push_back(NormGateUp{x, out, gain, eps, gate, up, activation});
  return out;
}

Value Builder::select_norm_head(Value x, WeightId gain, float eps, WeightId head) {
  const Value out = make(Rows::outputs, n(head));
  program.ops.push_back(SelectNormHead{x, out, gain, eps, head});
  return out;
}

}  // namespace kl
