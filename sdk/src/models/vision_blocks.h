// What all towers here share: the embedding of patches, and the block with its tensors as llama.cpp's converter names them.
#pragma once
#include "models/vision_tensors.h"

namespace kl {

// clang-format off
// Layer norms and an ungated feed-forward.
inline constexpr VisionRow<BlockWeights> kPlainBlock[] = {
    // field             in a GGUF file             outputs   inputs    optional  stored         legacy name
    {&BlockWeights::attn_norm,      "v.blk.{}.ln1.weight",      VisionDim::one,   VisionDim::width},
    {&BlockWeights::attn_norm_bias, "v.blk.{}.ln1.bias",        VisionDim::one,   VisionDim::width},
    {&BlockWeights::q,              "v.blk.{}.attn_q.weight",   VisionDim::width, VisionDim::width},
    {&BlockWeights::k,              "v.blk.{}.attn_k.weight",   VisionDim::width, VisionDim::width},
    {&BlockWeights::v,              "v.blk.{}.attn_v.weight",   VisionDim::width, VisionDim::width},
    {&BlockWeights::q_bias,         "v.blk.{}.attn_q.bias",     VisionDim::one,   VisionDim::width},
    {&BlockWeights::k_bias,         "v.blk.{}.attn_k.bias",     VisionDim::one,   VisionDim::width},
    {&BlockWeights::v_bias,         "v.blk.{}.attn_v.bias",     VisionDim::one,   VisionDim::width},
    {&BlockWeights::o,              "v.blk.{}.attn_out.weight", VisionDim::width, VisionDim::width},
    {&BlockWeights::o_bias,         "v.blk.{}.attn_out.bias",   VisionDim::one,   VisionDim::width},
    {&BlockWeights::ffn_norm,       "v.blk.{}.ln2.weight",      VisionDim::one,   VisionDim::width},
    {&BlockWeights::ffn_norm_bias,  "v.blk.{}.ln2.bias",        VisionDim::one,   VisionDim::width},
    {&BlockWeights::up,             "v.blk.{}.ffn_up.weight",   VisionDim::ffn,   VisionDim::width, false, Stored::plain, "v.blk.{}.ffn_down.weight"},
    {&BlockWeights::up_bias,        "v.blk.{}.ffn_up.bias",     VisionDim::one,   VisionDim::ffn,   false, Stored::plain, "v.blk.{}.ffn_down.bias"},
    {&BlockWeights::down,           "v.blk.{}.ffn_down.weight", VisionDim::width, VisionDim::ffn,   false, Stored::plain, "v.blk.{}.ffn_up.weight"},
    {&BlockWeights::down_bias,      "v.blk.{}.ffn_down.bias",   VisionDim::one,   VisionDim::width, false, Stored::plain, "v.blk.{}.ffn_up.bias"},
};
// clang-format on

// Patches, and positions where there is a table: x [T M].
Value embed_patches(Builder& b, const VisionSpec& s, const EncoderWeights& w);
// x + attention(norm(x)), then x + ffn(norm(x)): x [T M] -> x [T M].
Value encoder_block(Builder& b, const VisionSpec& s, uint32_t layer, const BlockWeights& w, Value x);

}  // namespace kl
