// Qwen2 and 2.5 (biases on q, k and v) and Qwen3 (RMS norm on every q and k head, its own head size). Qwen team, 2024 and 2025.
#include "models/blocks.h"
#include "models/family.h"

namespace kl {

using L = LayerWeights;

// clang-format off
static constexpr TensorRow kQwen2Tensors[] = {
    // field        in a GGUF file               outputs     inputs
    {&L::attn_norm, "blk.{}.attn_norm.weight",   Dim::one,   Dim::width},
    {&L::q,         "blk.{}.attn_q.weight",      Dim::q,     Dim::width},
    {&L::k,         "blk.{}.attn_k.weight",      Dim::kv,    Dim::width},
    {&L::v,         "blk.{}.attn_v.weight",      Dim::kv,    Dim::width},
    {&L::q_bias,    "blk.{}.attn_q.bias",        Dim::one,   Dim::q},
    {&L::k_bias,    "blk.{}.attn_k.bias",        Dim::one,   Dim::kv},
    {&L::v_bias,    "blk.{}.attn_v.bias",        Dim::one,   Dim::kv},
    {&L::o,         "blk.{}.attn_output.weight", Dim::width, Dim::q},
    {&L::ffn_norm,  "blk.{}.ffn_norm.weight",    Dim::one,   Dim::width},
    {&L::gate,      "blk.{}.ffn_gate.weight",    Dim::ffn,   Dim::width},
    {&L::up,        "blk.{}.ffn_up.weight",      Dim::ffn,   Dim::width},
    {&L::down,      "blk.{}.ffn_down.weight",    Dim::width, Dim::ffn},
};
// clang-format on

// clang-format off
static constexpr TensorRow kQwen3Tensors[] = {
    // field        in a GGUF file               outputs     inputs
    {&L::attn_norm, "blk.{}.attn_norm.weight",   Dim::one,   Dim::width},
    {&L::q,         "blk.{}.attn_q.weight",      Dim::q,     Dim::width},
    {&L::k,         "blk.{}.attn_k.weight",      Dim::kv,    Dim::width},
    {&L::v,         "blk.{}.attn_v.weight",      Dim::kv,    Dim::width},
    {&L::q_norm,    "blk.{}.attn_q_norm.weight", Dim::one,   Dim::head},
    {&L::k_norm,    "blk.{}.attn_k_norm.weight", Dim::one,   Dim::head},
    {&L::o,         "blk.{}.attn_output.weight", Dim::width, Dim::q},
    {&L::ffn_norm,  "blk.{}.ffn_norm.weight",    Dim::one,   Dim::width},
    {&L::gate,      "blk.{}.ffn_gate.weight",    Dim::ffn,   Dim::width},
    {&L::up,        "blk.{}.ffn_up.weight",      Dim::ffn,   Dim::width},
    {&L::down,      "blk.{}.ffn_down.weight",    Dim::width, Dim::ffn},
};
// clang-format on

static Status read(const Metadata& m, const TensorLookup&, Spec& s) {
  KL_ASSIGN(const RopeSpec rope, read_rope(m, s, RopeStyle::halves));
  assign_layers(s, rope, [](uint32_t) { return 0u; });
  return {};
}

extern const Family kQwen2Family = {"qwen2", read, kQwen2Tensors, pre_norm_layer};
extern const Family kQwen3Family = {"qwen3", read, kQwen3Tensors, pre_norm_layer};

}  // namespace kl
