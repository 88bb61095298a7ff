// Tensor tables: which tensor of a file is which weight of the description, and the shape it must have. One walker serves every family.
#pragma once
#include <array>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/status.h"
#include "ir/builder.h"
#include "models/spec.h"

namespace kl {

class Gguf;

// A tensor as its file has it: dims[0] is the contiguous dimension.
struct SourceTensor {
  Format format = Format::f32;
  uint32_t rank = 1;
  std::array<uint64_t, 4> dims = {1, 1, 1, 1};
};
using TensorLookup = std::function<std::optional<SourceTensor>(std::string_view name)>;
// Looks tensors up in a file, which must outlive it.
TensorLookup lookup_in(const Gguf& file);

// The weights of one decoder layer, over all families; a family's table fills those it has.
struct LayerWeights {
  WeightId attn_norm;               // [M]
  WeightId q, k, v, o;              // [H*D M] [G*D M] [G*D M] [M H*D]
  WeightId q_bias, k_bias, v_bias;  // [H*D] [G*D] [G*D]
  WeightId o_bias;                  // [M]
  WeightId q_norm, k_norm;          // [D]
  WeightId post_attn_norm;          // [M]
  WeightId ffn_norm;                // [M]
  WeightId gate, up, down;          // [F M] [F M] [M F]
  WeightId post_ffn_norm;           // [M]
};

struct ModelWeights {
  WeightId embedding;     // [V M]
  WeightId rope_factors;  // [D / 2]
  WeightId final_norm;    // [M]
  WeightId head;          // [V M]; the embedding when tied
};

// Sizes a shape can name.
enum class Dim : uint8_t { one, width /* M */, ffn /* F */, q /* H*D */, kv /* G*D */, head /* D */, vocabulary /* V */, rope_pairs };

struct TensorRow {
  WeightId LayerWeights::*field;
  const char* name;    // "{}" stands for the layer
  Dim n = Dim::one;    // outputs; one for vectors
  Dim k = Dim::width;  // inputs, contiguous
  bool optional = false;
};

uint64_t size_of(Dim dim, const Spec& spec);

// How a file stores a matrix [n k].
enum class Stored : uint8_t {
  plain,      // dims = {k, n}
  kernel,     // a convolution's kernel of rank 4 whose first three dimensions multiply to k: {x, y, channels, n}
  transposed  // dims = {n, k}
};
struct TensorWant {
  std::string name;
  uint64_t n = 1, k = 1;
  bool optional = false;
  Stored stored = Stored::plain;
};
// Adds one tensor to the builder; an absent optional one is an invalid id. Errors: missing tensor, wrong shape (named with what was
// expected and what came), a kernel or transposed matrix in a format of blocks.
Result<WeightId> add_tensor(Builder& b, const TensorWant& want, const TensorLookup& find);
// `pattern` with the layer's number in place of "{}".
std::string layer_name(const char* pattern, uint32_t layer);

// Adds the tensors of one layer to the builder. Errors: missing tensor, wrong shape (named with what was expected and what came).
Result<LayerWeights> layer_weights(Builder& b, const Spec& spec, std::span<const TensorRow> table, uint32_t layer,
                                   const TensorLookup& find);
Result<ModelWeights> model_weights(Builder& b, const Spec& spec, const TensorLookup& find);

}  // namespace kl
