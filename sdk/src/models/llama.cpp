// Llama: pre-norm decoder, grouped-query attention, rotary positions, gated SiLU feed-forward (Touvron et al., 2023). Also what shares its
// shape: SmolLM2, TinyLlama, Llama 3 (frequency factors in rope_freqs.weight), Mistral (sliding window over every layer).
#include "models/blocks.h"
#include "models/family.h"

namespace kl {

using L = LayerWeights;

// clang-format off
static constexpr TensorRow kTensors[] = {
    // field        in a GGUF file               outputs     inputs
    {&L::attn_norm, "blk.{}.attn_norm.weight",   Dim::one,   Dim::width},
    {&L::q,         "blk.{}.attn_q.weight",      Dim::q,     Dim::width},
    {&L::k,         "blk.{}.attn_k.weight",      Dim::kv,    Dim::width},
    {&L::v,         "blk.{}.attn_v.weight",      Dim::kv,    Dim::width},
    {&L::q_bias,    "blk.{}.attn_q.bias",        Dim::one,   Dim::q,     kOptional},
    {&L::k_bias,    "blk.{}.attn_k.bias",        Dim::one,   Dim::kv,    kOptional},
    {&L::v_bias,    "blk.{}.attn_v.bias",        Dim::one,   Dim::kv,    kOptional},
    {&L::o,         "blk.{}.attn_output.weight", Dim::width, Dim::q},
    {&L::o_bias,    "blk.{}.attn_output.bias",   Dim::one,   Dim::width, kOptional},
    {&L::ffn_norm,  "blk.{}.ffn_norm.weight",    Dim::one,   Dim::width},
    {&L::gate,      "blk.{}.ffn_gate.weight",    Dim::ffn,   Dim::width},
    {&L::up,        "blk.{}.ffn_up.weight",      Dim::ffn,   Dim::width},
    {&L::down,      "blk.{}.ffn_down.weight",    Dim::width, Dim::ffn},
};
// clang-format on

// Rows of q and k are stored so that rope pairs are neighbours. A window in the file covers every layer.
static Status read(const Metadata& m, const TensorLookup&, Spec& s) {
  KL_ASSIGN(const RopeSpec rope, read_rope(m, s, RopeStyle::neighbours));
  KL_ASSIGN(const std::optional<uint64_t> window, m.find_uint(key(s, "attention.sliding_window"), 0, 1u << 30));
  assign_layers(s, rope, [&](uint32_t) { return static_cast<uint32_t>(window.value_or(0)); });
  return {};
}

extern const Family kLlamaFamily = {"llama", read, kTensors, pre_norm_layer};

}  // namespace kl
