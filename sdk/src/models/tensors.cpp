#include "models/tensors.h"

#include <limits>
#include <string>

namespace kl {
namespace {

std::string layer_name(const char* pattern, uint32_t layer) {
  std::string text = pattern;
  if (const size_t at = text.find("{}"); at != std::string::npos) text.replace(at, 2, std::to_string(layer));
  return text;
}

// An absent optional tensor is an invalid id.
Result<WeightId> add(Builder& b, const std::string& name, uint64_t n, uint64_t k, bool optional, const TensorLookup& find) {
  const std::optional<SourceTensor> source = find(name);
  if (!source) {
    if (optional) return WeightId{};
    return error(Code::corrupt, "tensor \"%s\" is missing (the model needs it with shape [%llu, %llu])", name.c_str(),
                 static_cast<unsigned long long>(k), static_cast<unsigned long long>(n));
  }
  const bool fits = source->dims[0] == k && source->dims[1] == n && source->dims[2] == 1 && source->dims[3] == 1;
  if (!fits) {
    return error(Code::corrupt,
                 "tensor \"%s\" should have shape [%llu, %llu] by the model's hyperparameters but has [%llu, %llu, %llu, %llu]",
                 name.c_str(), static_cast<unsigned long long>(k), static_cast<unsigned long long>(n),
                 static_cast<unsigned long long>(source->dims[0]), static_cast<unsigned long long>(source->dims[1]),
                 static_cast<unsigned long long>(source->dims[2]), static_cast<unsigned long long>(source->dims[3]));
  }
  if (n > std::numeric_limits<uint32_t>::max() || k > std::numeric_limits<uint32_t>::max()) {
    return error(Code::unsupported, "tensor \"%s\" has a dimension of 2^32 or more", name.c_str());
  }
  return b.weight({name, source->format, static_cast<uint32_t>(n), static_cast<uint32_t>(k)});
}

}  // namespace

uint64_t size_of(Dim dim, const Spec& s) {
  switch (dim) {
    case Dim::one:
      return 1;
    case Dim::width:
      return s.width;
    case Dim::ffn:
      return s.ffn;
    case Dim::q:
      return uint64_t{s.heads} * s.head_size;
    case Dim::kv:
      return uint64_t{s.kv_heads} * s.head_size;
    case Dim::head:
      return s.head_size;
    case Dim::vocabulary:
      return s.vocabulary;
    case Dim::rope_pairs:
      return s.layer.empty() ? 0 : s.layer.front().rope.dims / 2;
  }
  return 0;
}

Result<LayerWeights> layer_weights(Builder& b, const Spec& spec, std::span<const TensorRow> table, uint32_t layer,
                                   const TensorLookup& find) {
  LayerWeights weights;
  for (const TensorRow& row : table) {
    KL_ASSIGN(weights.*row.field, add(b, layer_name(row.name, layer), size_of(row.n, spec), size_of(row.k, spec), row.optional, find));
  }
  return weights;
}

Result<ModelWeights> model_weights(Builder& b, const Spec& spec, const TensorLookup& find) {
  ModelWeights w;
  KL_ASSIGN(w.embedding, add(b, "token_embd.weight", spec.vocabulary, spec.width, false, find));
  KL_ASSIGN(w.final_norm, add(b, "output_norm.weight", 1, spec.width, false, find));
  KL_ASSIGN(w.rope_factors, add(b, "rope_freqs.weight", 1, size_of(Dim::rope_pairs, spec), true, find));
  KL_ASSIGN(w.head, add(b, "output.weight", spec.vocabulary, spec.width, true, find));
  if (!w.head.valid()) w.head = w.embedding;  // tied
  return w;
}

}  // namespace kl
