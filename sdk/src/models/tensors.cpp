#include "models/tensors.h"

#include <limits>
#include <string>

#include "weights/gguf.h"

namespace kl {
namespace {

std::array<uint64_t, 4> expected_dims(const TensorWant& want, const SourceTensor& source) {
  switch (want.stored) {
    case Stored::plain:
      break;
    case Stored::kernel:  // which of its sides is which does not matter: all three multiply to k
      if (source.dims[0] > 0 && source.dims[1] > 0 && want.k % (source.dims[0] * source.dims[1]) == 0) {
        return {source.dims[0], source.dims[1], want.k / (source.dims[0] * source.dims[1]), want.n};
      }
      break;
    case Stored::transposed:
      return {want.n, want.k, 1, 1};
  }
  return {want.k, want.n, 1, 1};
}

std::string text(const std::array<uint64_t, 4>& dims) {
  size_t count = 4;
  while (count > 2 && dims[count - 1] == 1) --count;
  std::string out;
  for (size_t i = 0; i < count; ++i) out += format("%s%llu", i == 0 ? "[" : ", ", static_cast<unsigned long long>(dims[i]));
  return out + "]";
}

}  // namespace

TensorLookup lookup_in(const Gguf& file) {
  return [&file](std::string_view name) -> std::optional<SourceTensor> {
    const TensorInfo* t = file.find(name);
    if (t == nullptr) return std::nullopt;
    return SourceTensor{t->format, t->rank, t->dims};
  };
}

std::string layer_name(const char* pattern, uint32_t layer) {
  std::string text = pattern;
  if (const size_t at = text.find("{}"); at != std::string::npos) text.replace(at, 2, std::to_string(layer));
  return text;
}

Result<WeightId> add_tensor(Builder& b, const TensorWant& want, const TensorLookup& find) {
  const std::optional<SourceTensor> source = find(want.name);
  if (!source) {
    if (want.optional) return WeightId{};
    return error(Code::corrupt, "tensor \"%s\" is missing (the model needs it with shape [%llu, %llu])", want.name.c_str(),
                 static_cast<unsigned long long>(want.k), static_cast<unsigned long long>(want.n));
  }
  if (const std::array<uint64_t, 4> dims = expected_dims(want, *source); dims != source->dims) {
    return error(Code::corrupt, "tensor \"%s\" should have shape %s by the model's hyperparameters but has %s", want.name.c_str(),
                 text(dims).c_str(), text(source->dims).c_str());
  }
  if (want.n > std::numeric_limits<uint32_t>::max() || want.k > std::numeric_limits<uint32_t>::max()) {
    return error(Code::unsupported, "tensor \"%s\" has a dimension of 2^32 or more", want.name.c_str());
  }
  if (want.stored != Stored::plain && info(source->format).block_elements != 1) {
    return error(Code::unsupported, "tensor \"%s\" is in %s; expected f32, f16 or bf16", want.name.c_str(), name(source->format));
  }
  return b.weight(
      {want.name, source->format, static_cast<uint32_t>(want.n), static_cast<uint32_t>(want.k), want.stored == Stored::transposed});
}

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
    KL_ASSIGN(weights.*row.field,
              add_tensor(b, {layer_name(row.name, layer), size_of(row.n, spec), size_of(row.k, spec), row.optional}, find));
  }
  return weights;
}

Result<ModelWeights> model_weights(Builder& b, const Spec& spec, const TensorLookup& find) {
  ModelWeights w;
  KL_ASSIGN(w.embedding, add_tensor(b, {"token_embd.weight", spec.vocabulary, spec.width, false}, find));
  KL_ASSIGN(w.final_norm, add_tensor(b, {"output_norm.weight", 1, spec.width, false}, find));
  KL_ASSIGN(w.rope_factors, add_tensor(b, {"rope_freqs.weight", 1, size_of(Dim::rope_pairs, spec), true}, find));
  KL_ASSIGN(w.head, add_tensor(b, {"output.weight", spec.vocabulary, spec.width, true}, find));
  if (!w.head.valid()) w.head = w.embedding;  // tied
  return w;
}

}  // namespace kl
