// Layers that more than one family has.
#pragma once
#include "models/tensors.h"

namespace kl {

inline constexpr bool kOptional = true;

// q of this layer's queries; k and v go into its cache. x [T M] -> [T H*D]
Value queries(Builder& b, const Spec& s, uint32_t layer, const LayerWeights& w, Value x);
// Attention of the layer over its cache. q [T H*D] -> [T H*D]
Value attend(Builder& b, const Spec& s, uint32_t layer, Value q);

// x + attention(norm(x)), then x + ffn(norm(x)): Llama, Qwen2, Qwen3. x [T M] -> [T M]
Value pre_norm_layer(Builder& b, const Spec& s, uint32_t layer, const LayerWeights& w, Value x);

}  // namespace kl
