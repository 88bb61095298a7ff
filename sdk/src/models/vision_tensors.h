// Tensor tables of encoders: which tensor of a projector's file is which weight, and the shape it must have. The walker is tensors.h's.
#pragma once
#include <span>

#include "models/tensors.h"
#include "models/vision_spec.h"

namespace kl {

// The weights of one block, over all encoder families.
struct BlockWeights {
  WeightId attn_norm, attn_norm_bias;      // [M] [M]
  WeightId q, k, v, o;                     // [M M] each
  WeightId q_bias, k_bias, v_bias;         // [M] each
  WeightId o_bias;                         // [M]
  WeightId ffn_norm, ffn_norm_bias;        // [M] [M]
  WeightId gate, up, down;                 // [F M] [F M] [M F]
  WeightId gate_bias, up_bias, down_bias;  // [F] [F] [M]
};

// What stands before and behind the blocks, the projector included.
struct EncoderWeights {
  WeightId patch, patch_bias;          // [M 3*p*p] [M]
  WeightId second_patch;               // [M 3*p*p]
  WeightId positions;                  // [positions M]
  WeightId class_token;                // [1 M]
  WeightId pre_norm, pre_norm_bias;    // [M] [M]
  WeightId post_norm, post_norm_bias;  // [M] [M]
  WeightId projector_norm;             // [M]
  WeightId first, first_bias;          // of the projector: as its table says
  WeightId second, second_bias;
};

enum class VisionDim : uint8_t {
  one,
  width /* M */,
  ffn /* F */,
  patch /* 3*p*p */,
  positions,
  merged /* merge*merge*M */,
  feature /* N */
};

template <class Weights>
struct VisionRow {
  WeightId Weights::*field;
  const char* name;  // "{}" stands for the block
  VisionDim n = VisionDim::one;
  VisionDim k = VisionDim::width;
  bool optional = false;
  Stored stored = Stored::plain;
  const char* swapped = nullptr;  // the name instead where VisionSpec::ffn_swapped
};

uint64_t size_of(VisionDim dim, const VisionSpec& spec);

template <class Weights>
Status read_rows(Builder& b, const VisionSpec& spec, std::span<const VisionRow<Weights>> table, uint32_t block, const TensorLookup& find,
                 Weights& out) {
  for (const VisionRow<Weights>& row : table) {
    const char* const name = spec.ffn_swapped && row.swapped != nullptr ? row.swapped : row.name;
    const TensorWant want = {layer_name(name, block), size_of(row.n, spec), size_of(row.k, spec), row.optional, row.stored};
    KL_ASSIGN(out.*row.field, add_tensor(b, want, find));
  }
  return {};
}

}  // namespace kl
