#include "models/family.h"

#include <algorithm>
#include <cmath>

namespace kl {

extern const Family kLlamaFamily, kQwen2Family, kQwen3Family, kQwen2VlFamily, kGemma3Family;

std::span<const Family* const> families() {
  static constexpr const Family* kFamilies[] = {&kLlamaFamily, &kQwen2Family, &kQwen3Family, &kQwen2VlFamily, &kGemma3Family};
  return kFamilies;
}

std::string key(const Spec& spec, const char* name) { return spec.architecture + "." + name; }

namespace {

// Declared ranges (R8). Generous against every published model, small enough that no product of two overflows 64 bits.
constexpr uint64_t kMaxLayers = 1024, kMaxWidth = 1 << 17, kMaxFfn = 1 << 20, kMaxHeads = 1024, kMaxHeadSize = 1024, kMaxContext = 1u << 28,
                   kMaxVocabulary = 1u << 24;

// head_count_kv may be one number or one per layer; per-layer numbers must agree (hybrid models are not described here yet).
Result<uint32_t> read_kv_heads(const Metadata& m, const Spec& spec) {
  const std::string name = key(spec, "attention.head_count_kv");
  if (const MetaValue* value = m.find(name); value != nullptr && std::holds_alternative<std::shared_ptr<const MetaArray>>(*value)) {
    KL_ASSIGN(const std::span<const int64_t> list, m.find_ints(name));
    if (list.size() != spec.layers) {
      return error(Code::corrupt, "%s has %zu entries, expected one per layer (%u)", name.c_str(), list.size(), spec.layers);
    }
    const int64_t first = list.front();
    if (!std::all_of(list.begin(), list.end(), [&](int64_t each) { return each == first; })) {
      return error(Code::unsupported, "%s differs between layers", name.c_str());
    }
    if (first < 1 || first > static_cast<int64_t>(kMaxHeads))
      return error(Code::corrupt, "%s is %lld, expected 1 to %llu", name.c_str(), static_cast<long long>(first),
                   static_cast<unsigned long long>(kMaxHeads));
    return static_cast<uint32_t>(first);
  }
  KL_ASSIGN(const std::optional<uint64_t> one, m.find_uint(name, 1, kMaxHeads));
  return static_cast<uint32_t>(one.value_or(spec.heads));
}

Status read_common(const Metadata& m, const TensorLookup& find, Spec& s) {
  KL_ASSIGN(const uint64_t layers, m.need_uint(key(s, "block_count"), 1, kMaxLayers));
  KL_ASSIGN(const uint64_t width, m.need_uint(key(s, "embedding_length"), 8, kMaxWidth));
  KL_ASSIGN(const uint64_t ffn, m.need_uint(key(s, "feed_forward_length"), 1, kMaxFfn));
  KL_ASSIGN(const uint64_t heads, m.need_uint(key(s, "attention.head_count"), 1, kMaxHeads));
  s.layers = static_cast<uint32_t>(layers);
  s.width = static_cast<uint32_t>(width);
  s.ffn = static_cast<uint32_t>(ffn);
  s.heads = static_cast<uint32_t>(heads);
  KL_ASSIGN(s.kv_heads, read_kv_heads(m, s));
  if (s.heads % s.kv_heads != 0) {
    return error(Code::corrupt, "%u query heads are not a multiple of %u KV heads", s.heads, s.kv_heads);
  }
  KL_ASSIGN(const std::optional<uint64_t> key_length, m.find_uint(key(s, "attention.key_length"), 8, kMaxHeadSize));
  KL_ASSIGN(const std::optional<uint64_t> value_length, m.find_uint(key(s, "attention.value_length"), 8, kMaxHeadSize));
  if (!key_length && s.width % s.heads != 0) return error(Code::corrupt, "width %u is not a multiple of %u heads", s.width, s.heads);
  s.head_size = static_cast<uint32_t>(key_length.value_or(s.width / s.heads));
  if (value_length.value_or(s.head_size) != s.head_size) return error(Code::unsupported, "keys and values of different sizes");
  if (s.head_size < 8 || s.head_size > kMaxHeadSize || s.head_size % 8 != 0) {
    return error(Code::unsupported, "head size %u, expected a multiple of 8 from 8 to %llu", s.head_size,
                 static_cast<unsigned long long>(kMaxHeadSize));
  }
  KL_ASSIGN(const std::optional<uint64_t> context, m.find_uint(key(s, "context_length"), 1, kMaxContext));
  s.trained_context = static_cast<uint32_t>(context.value_or(2048));
  KL_ASSIGN(const std::optional<double> eps, m.find_float(key(s, "attention.layer_norm_rms_epsilon"), 0.0, 1.0));
  s.norm_eps = static_cast<float>(eps.value_or(1e-5));
  s.attention_scale = 1.0f / std::sqrt(static_cast<float>(s.head_size));
  KL_ASSIGN(const std::optional<uint64_t> experts, m.find_uint(key(s, "expert_count"), 0, 1u << 16));
  if (experts.value_or(0) > 0) return error(Code::unsupported, "mixture of %llu experts", static_cast<unsigned long long>(*experts));

  const std::optional<SourceTensor> embedding = find("token_embd.weight");
  if (!embedding) return error(Code::corrupt, "tensor \"token_embd.weight\" is missing");
  if (embedding->dims[1] < 1 || embedding->dims[1] > kMaxVocabulary) {
    return error(Code::corrupt, "token_embd.weight has %llu rows, expected 1 to %llu", static_cast<unsigned long long>(embedding->dims[1]),
                 static_cast<unsigned long long>(kMaxVocabulary));
  }
  s.vocabulary = static_cast<uint32_t>(embedding->dims[1]);
  s.tied_head = !find("output.weight").has_value();
  s.rope_factors = find("rope_freqs.weight").has_value();
  return {};
}

}  // namespace

Result<RopeSpec> read_rope(const Metadata& m, const Spec& spec, RopeStyle style) {
  RopeSpec rope;
  rope.style = style;
  KL_ASSIGN(const std::optional<uint64_t> dims, m.find_uint(key(spec, "rope.dimension_count"), 2, spec.head_size));
  rope.dims = static_cast<uint32_t>(dims.value_or(spec.head_size));
  if (rope.dims % 2 != 0)
    return error(Code::corrupt, "%s is %u, expected an even number", key(spec, "rope.dimension_count").c_str(), rope.dims);
  KL_ASSIGN(const std::optional<double> base, m.find_float(key(spec, "rope.freq_base"), 1.0, 1e12));
  rope.base = static_cast<float>(base.value_or(10000.0));
  KL_ASSIGN(const std::optional<std::string_view> type, m.find_string(key(spec, "rope.scaling.type")));
  if (type && *type == "linear") {
    KL_ASSIGN(const std::optional<double> factor, m.find_float(key(spec, "rope.scaling.factor"), 1e-3, 1e6));
    rope.scale = static_cast<float>(factor.value_or(1.0));
  } else if (type && *type != "none") {
    return error(Code::unsupported, "%s is \"%.*s\"; \"none\" and \"linear\" are known", key(spec, "rope.scaling.type").c_str(),
                 static_cast<int>(std::min<size_t>(type->size(), 64)), type->data());
  }
  return rope;
}

void assign_layers(Spec& spec, const RopeSpec& rope, const std::function<uint32_t(uint32_t)>& window_of) {
  for (uint32_t l = 0; l < spec.layers; ++l) {
    const uint32_t window = window_of(l);
    auto group = std::find_if(spec.kv_groups.begin(), spec.kv_groups.end(), [&](const KvGroupSpec& g) { return g.window == window; });
    if (group == spec.kv_groups.end()) group = spec.kv_groups.insert(group, {spec.kv_heads, spec.head_size, window, 0});
    spec.layer.push_back({window, rope, static_cast<uint32_t>(group - spec.kv_groups.begin()), group->layers++});
  }
}

Result<DescribedModel> read_model(const Metadata& metadata, const TensorLookup& find) {
  KL_ASSIGN(const std::string_view architecture, metadata.need_string("general.architecture"));
  DescribedModel model;
  std::string known;
  for (const Family* family : families()) {
    if (architecture == family->architecture) model.family = family;
    known += known.empty() ? family->architecture : std::string(", ") + family->architecture;
  }
  if (model.family == nullptr) {
    return error(Code::unsupported, "architecture \"%.*s\"; this build describes %s",
                 static_cast<int>(std::min<size_t>(architecture.size(), 64)), architecture.data(), known.c_str());
  }
  model.spec.architecture = architecture;
  KL_TRY(read_common(metadata, find, model.spec));
  KL_TRY(model.family->read(metadata, find, model.spec));
  return model;
}

Result<Program> describe(const DescribedModel& model, const TensorLookup& find, bool features) {
  const Spec& s = model.spec;
  Builder b;
  for (const KvGroupSpec& g : s.kv_groups) b.program.kv_groups.push_back({g.heads, g.head_size, g.window, g.layers});
  KL_ASSIGN(const ModelWeights w, model_weights(b, s, find));
  Value x = b.gather_rows(w.embedding, s.embedding_scale, RowIndex::token, features);  // x [T M]
  for (uint32_t l = 0; l < s.layers; ++l) {
    KL_ASSIGN(const LayerWeights layer, layer_weights(b, s, model.family->tensors, l, find));
    b.cut();
    x = model.family->layer(b, s, l, layer, x);  // x [T M]
  }
  // Every layer of a model with one rope_freqs tensor divides its frequencies by it.
  if (w.rope_factors.valid()) {
    for (Op& op : b.program.ops) {
      if (auto* o = std::get_if<NormQkvRope>(&op)) o->rope.factors = w.rope_factors;
    }
  }
  b.cut();
  b.program.logits = b.select_norm_head(x, w.final_norm, s.norm_eps, w.head);  // [O V]
  b.program.greedy = b.sample(b.program.logits);                               // [O 1]
  KL_TRY(check(b.program));
  return std::move(b.program);
}

}  // namespace kl
