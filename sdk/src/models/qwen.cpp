// Qwen2 and 2.5 (biases on q, k and v), Qwen2-VL and 2.5-VL's text model (the same with M-RoPE) and Qwen3 (RMS norm on every q and k head,
// its own head size). Qwen team, 2024 and 2025.
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

// M-RoPE (Wang et al., 2024): rope.dimension_sections says how many pairs follow the time, the line and the column of a row; a fourth
// number is always 0.
static Status read_vl(const Metadata& m, const TensorLookup&, Spec& s) {
  KL_ASSIGN(RopeSpec rope, read_rope(m, s, RopeStyle::halves));
  const std::string name = key(s, "rope.dimension_sections");
  KL_ASSIGN(const std::span<const int64_t> sections, m.find_ints(name));
  uint64_t pairs = 0;
  for (size_t i = 0; i < sections.size(); ++i) {
    if (sections[i] < 0 || sections[i] > rope.dims / 2) {
      return error(Code::corrupt, "%s[%zu] is %lld, expected 0 to %u", name.c_str(), i, static_cast<long long>(sections[i]), rope.dims / 2);
    }
    pairs += static_cast<uint64_t>(sections[i]);
  }
  const bool three = sections.size() == 3 || (sections.size() == 4 && sections[3] == 0);
  if (!three || pairs != rope.dims / 2) {
    return error(Code::corrupt, "%s should be three numbers that add up to %u pairs; it has %zu entries with the sum %llu", name.c_str(),
                 rope.dims / 2, sections.size(), static_cast<unsigned long long>(pairs));
  }
  for (size_t i = 0; i < 3; ++i) rope.sections[i] = static_cast<uint32_t>(sections[i]);
  s.grid_positions = true;
  assign_layers(s, rope, [](uint32_t) { return 0u; });
  return {};
}

extern const Family kQwen2VlFamily = {"qwen2vl", read_vl, kQwen2Tensors, pre_norm_layer};
extern const Family kQwen2Family = {"qwen2", read, kQwen2Tensors, pre_norm_layer};
extern const Family kQwen3Family = {"qwen3", read, kQwen3Tensors, pre_norm_layer};

}  // namespace kl
