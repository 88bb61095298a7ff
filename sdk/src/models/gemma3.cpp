// Gemma 3, text (Gemma team, 2025): sandwich norms, normed q and k heads, tanh GELU, embeddings times sqrt(M), five sliding layers to each
// global one, with a rope base for each kind.
#include <cmath>

#include "models/blocks.h"
#include "models/family.h"

namespace kl {

using L = LayerWeights;

// clang-format off
static constexpr TensorRow kTensors[] = {
    // field             in a GGUF file                      outputs     inputs
    {&L::attn_norm,      "blk.{}.attn_norm.weight",           Dim::one,   Dim::width},
    {&L::q,              "blk.{}.attn_q.weight",              Dim::q,     Dim::width},
    {&L::k,              "blk.{}.attn_k.weight",              Dim::kv,    Dim::width},
    {&L::v,              "blk.{}.attn_v.weight",              Dim::kv,    Dim::width},
    {&L::q_norm,         "blk.{}.attn_q_norm.weight",         Dim::one,   Dim::head},
    {&L::k_norm,         "blk.{}.attn_k_norm.weight",         Dim::one,   Dim::head},
    {&L::o,              "blk.{}.attn_output.weight",         Dim::width, Dim::q},
    {&L::post_attn_norm, "blk.{}.post_attention_norm.weight", Dim::one,   Dim::width},
    {&L::ffn_norm,       "blk.{}.ffn_norm.weight",            Dim::one,   Dim::width},
    {&L::gate,           "blk.{}.ffn_gate.weight",            Dim::ffn,   Dim::width},
    {&L::up,             "blk.{}.ffn_up.weight",              Dim::ffn,   Dim::width},
    {&L::down,           "blk.{}.ffn_down.weight",            Dim::width, Dim::ffn},
    {&L::post_ffn_norm,  "blk.{}.post_ffw_norm.weight",       Dim::one,   Dim::width},
};
// clang-format on

// Not in the file: which layers slide (all but every sixth), the query scale of the 27B model (known by its 62 layers), the norms' +1 (already added).
static Status read(const Metadata& m, const TensorLookup&, Spec& s) {
  constexpr uint32_t kPattern = 6, kLayersOf27B = 62;
  s.activation = Activation::gelu_tanh;
  s.bidirectional_images = true;
  s.embedding_scale = std::sqrt(static_cast<float>(s.width));
  if (s.layers == kLayersOf27B) s.attention_scale = 1.0f / std::sqrt(static_cast<float>(s.width) / static_cast<float>(s.heads));

  KL_ASSIGN(const RopeSpec global, read_rope(m, s, RopeStyle::halves));
  KL_ASSIGN(const std::optional<double> sliding_base, m.find_float(key(s, "rope.freq_base_swa"), 1.0, 1e12));
  KL_ASSIGN(const std::optional<uint64_t> window, m.find_uint(key(s, "attention.sliding_window"), 0, 1u << 30));
  const auto slides = [](uint32_t layer) { return layer % kPattern != kPattern - 1; };
  assign_layers(s, global, [&](uint32_t layer) { return slides(layer) ? static_cast<uint32_t>(window.value_or(0)) : 0; });
  for (uint32_t l = 0; l < s.layers; ++l) {
    if (!slides(l)) continue;
    s.layer[l].rope.base = static_cast<float>(sliding_base.value_or(10000.0));
    s.layer[l].rope.scale = 1.0f;  // rope.scaling.* belongs to the global layers
  }
  return {};
}

// clang-format off
static Value layer(Builder& b, const Spec& s, uint32_t index, const LayerWeights& w, Value x) {
  const Value q      = queries(b, s, index, w, x);                                                // [T H*D]
  const Value mixed  = attend(b, s, index, q);                                                    // [T H*D]
  x                  = b.linear_norm_add(mixed, w.o, w.post_attn_norm, s.norm_eps, x);            // [T M]
  const Value hidden = b.norm_gate_up(x, w.ffn_norm, s.norm_eps, w.gate, w.up, s.activation);     // [T F]
  return               b.linear_norm_add(hidden, w.down, w.post_ffn_norm, s.norm_eps, x);         // [T M]
}
// clang-format on

extern const Family kGemma3Family = {"gemma3", read, kTensors, layer};

}  // namespace kl
