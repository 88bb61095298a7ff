// The block that all towers here share: x + attention(norm(x)), then x + ffn(norm(x)) (Dosovitskiy et al., 2020), with rope and a gate
// where a family has them.
#include "models/vision_blocks.h"

#include <algorithm>
#include <cmath>

#include "models/vision_family.h"

namespace kl {

// clang-format off
Value encoder_block(Builder& b, const VisionSpec& s, uint32_t layer, const BlockWeights& w, Value x) {
  const Value n      = b.norm(x, w.attn_norm, s.norm_eps, 1, s.norm, w.attn_norm_bias);           // [T M]
  Value q            = b.linear(n, w.q, w.q_bias);                                                // [T H*D]
  Value k            = b.linear(n, w.k, w.k_bias);                                                // [T H*D]
  const Value v      = b.linear(n, w.v, w.v_bias);                                                // [T H*D]
  if (s.rope.dims > 0) {
    q                = b.rope(q, s.heads, s.head_size, s.rope);                                   // [T H*D]
    k                = b.rope(k, s.heads, s.head_size, s.rope);                                   // [T H*D]
  }
  const bool windows = s.window > 0 && !s.whole_attention[layer];
  const float scale  = 1.0f / std::sqrt(static_cast<float>(s.head_size));
  const Value mixed  = b.dense_attention({q, k, v, {}, s.heads, s.head_size, scale,
                                          windows ? kWindows : kWholeTile});                      // [T H*D]
  x                  = b.linear_residual(mixed, w.o, x, w.o_bias);                                // [T M]
  const Value m      = b.norm(x, w.ffn_norm, s.norm_eps, 1, s.norm, w.ffn_norm_bias);             // [T M]
  const Value up     = b.linear(m, w.up, w.up_bias);                                              // [T F]
  const Value hidden = w.gate.valid()
                     ? b.activate(b.linear(m, w.gate, w.gate_bias), up, s.activation)             // [T F]
                     : b.activate(up, {}, s.activation);                                          // [T F]
  return               b.linear_residual(hidden, w.down, x, w.down_bias);                         // [T M]
}
// clang-format on

Value embed_patches(Builder& b, const VisionSpec& s, const EncoderWeights& w) {
  Patchify op;
  op.size = s.patch;
  std::copy_n(s.mean, 3, op.mean);
  std::copy_n(s.deviation, 3, op.deviation);
  const Value pixels = b.patchify(op);                                           // [T 3*p*p]
  Value x = b.linear(pixels, w.patch, w.patch_bias);                             // [T M]
  if (w.second_patch.valid()) x = b.linear_residual(pixels, w.second_patch, x);  // [T M]
  if (w.positions.valid()) x = b.add(x, b.gather_rows(w.positions, 1.0f));       // [T M]
  return x;
}

}  // namespace kl
