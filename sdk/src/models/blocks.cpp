#include "models/blocks.h"

namespace kl {

Value queries(Builder& b, const Spec& s, uint32_t layer, const LayerWeights& w, Value x) {
  const LayerSpec& l = s.layer[layer];
  return b.norm_qkv_rope({.x = x,
                          .out = {},
                          .gain = w.attn_norm,
                          .eps = s.norm_eps,
                          .wq = w.q,
                          .wk = w.k,
                          .wv = w.v,
                          .bq = w.q_bias,
                          .bk = w.k_bias,
                          .bv = w.v_bias,
                          .q_gain = w.q_norm,
                          .k_gain = w.k_norm,
                          .heads = s.heads,
                          .kv_heads = s.kv_heads,
                          .head_size = s.head_size,
                          .rope = l.rope,
                          .cache = {l.kv_group, l.kv_layer}});
}

Value attend(Builder& b, const Spec& s, uint32_t layer, Value q) {
  const LayerSpec& l = s.layer[layer];
  return b.attention({.q = q,
                      .out = {},
                      .cache = {l.kv_group, l.kv_layer},
                      .heads = s.heads,
                      .kv_heads = s.kv_heads,
                      .head_size = s.head_size,
                      .scale = s.attention_scale,
                      .window = l.window,
                      .cap = 0,
                      .sinks = {}});
}

// clang-format off
Value pre_norm_layer(Builder& b, const Spec& s, uint32_t layer, const LayerWeights& w, Value x) {
  const Value q      = queries(b, s, layer, w, x);                                                // [T H*D]
  const Value mixed  = attend(b, s, layer, q);                                                    // [T H*D]
  x                  = b.linear_residual(mixed, w.o, x, w.o_bias);                                // [T M]
  const Value hidden = b.norm_gate_up(x, w.ffn_norm, s.norm_eps, w.gate, w.up, s.activation);     // [T F]
  return               b.linear_residual(hidden, w.down, x);                                      // [T M]
}
// clang-format on

}  // namespace kl
