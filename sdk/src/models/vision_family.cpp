#include "models/vision_family.h"

#include <algorithm>
#include <limits>

#include "models/vision_blocks.h"

namespace kl {

extern const VisionFamily kIdefics3Family, kGemma3VisionFamily, kLlavaFamily, kQwen2VlVisionFamily, kQwen25VlVisionFamily;

std::span<const VisionFamily* const> vision_families() {
  static constexpr const VisionFamily* kFamilies[] = {&kIdefics3Family, &kLlavaFamily, &kGemma3VisionFamily, &kQwen2VlVisionFamily,
                                                      &kQwen25VlVisionFamily};
  return kFamilies;
}

uint64_t size_of(VisionDim dim, const VisionSpec& s) {
  switch (dim) {
    case VisionDim::one:
      return 1;
    case VisionDim::width:
      return s.width;
    case VisionDim::ffn:
      return s.ffn;
    case VisionDim::patch:
      return uint64_t{3} * s.patch * s.patch;
    case VisionDim::positions:
      return s.positions;
    case VisionDim::merged:
      return uint64_t{s.merge} * s.merge * s.width;
    case VisionDim::feature:
      return s.feature_width;
  }
  return 0;
}

uint32_t dimension(const TensorLookup& find, const char* name, size_t index) {
  const std::optional<SourceTensor> tensor = find(name);
  return tensor ? static_cast<uint32_t>(std::min<uint64_t>(tensor->dims[index], std::numeric_limits<uint32_t>::max())) : 0;
}

uint32_t grid_side(const VisionSpec& s) { return s.image_size / s.patch; }

namespace {

// Declared ranges (R8): generous against every published encoder, small enough that no product of two overflows 64 bits.
constexpr uint64_t kMaxLayers = 1024, kMaxWidth = 1 << 16, kMaxFfn = 1 << 20, kMaxHeads = 1024, kMaxHeadSize = 1024, kMaxImage = 1 << 14,
                   kMaxPatch = 256, kMaxMerge = 16;

Result<const VisionFamily*> family_of(const Metadata& m) {
  KL_ASSIGN(const std::string_view architecture, m.need_string("general.architecture"));
  KL_ASSIGN(const std::optional<bool> vision, m.find_bool("clip.has_vision_encoder"));
  if (architecture != "clip" || !vision.value_or(false)) {
    return error(
        Code::unsupported, "not the file of a vision encoder: expected architecture \"clip\" with clip.has_vision_encoder, got \"%.*s\"%s",
        static_cast<int>(std::min<size_t>(architecture.size(), 64)), architecture.data(), architecture == "clip" ? " without it" : "");
  }
  KL_ASSIGN(std::optional<std::string_view> projector, m.find_string("clip.vision.projector_type"));
  if (!projector) {
    KL_ASSIGN(projector, m.find_string("clip.projector_type"));
  }
  const std::string_view kind = projector.value_or("mlp");  // files from before the key was written are all LLaVA's
  std::string known;
  for (const VisionFamily* family : vision_families()) {
    if (kind == family->projector) return family;
    known += known.empty() ? family->projector : std::string(", ") + family->projector;
  }
  return error(Code::unsupported, "projector \"%.*s\"; this build describes %s", static_cast<int>(std::min<size_t>(kind.size(), 64)),
               kind.data(), known.c_str());
}

Status read_triple(const Metadata& m, const char* key, float min, float max, float (&out)[3]) {
  KL_ASSIGN(const std::span<const float> values, m.find_floats(key));
  const bool fits = values.size() == 3 && std::all_of(values.begin(), values.end(), [&](float v) { return v >= min && v <= max; });
  if (!fits)
    return error(Code::corrupt, "%s should be three numbers from %g to %g", key, static_cast<double>(min), static_cast<double>(max));
  std::copy(values.begin(), values.end(), out);
  return {};
}

// Legacy files call the feed-forward's first matrix ffn_down. The shapes tell, but for a square one: that is legacy in LLaVA's files only.
Status read_ffn(const TensorLookup& find, bool square_is_swapped, VisionSpec& s) {
  const uint64_t down_in = dimension(find, "v.blk.0.ffn_down.weight", 0), down_out = dimension(find, "v.blk.0.ffn_down.weight", 1);
  s.ffn_swapped = down_in == s.width && (down_out != s.width || square_is_swapped);
  const uint64_t ffn = s.ffn_swapped ? down_out : down_in;
  if (ffn < 1 || ffn > kMaxFfn) {
    return error(Code::corrupt, "tensor \"v.blk.0.ffn_down.weight\" with a feed-forward width of %llu, expected 1 to %llu",
                 static_cast<unsigned long long>(ffn), static_cast<unsigned long long>(kMaxFfn));
  }
  s.ffn = static_cast<uint32_t>(ffn);
  return {};
}

Status read_common(const Metadata& m, const TensorLookup& find, VisionSpec& s) {
  KL_ASSIGN(const uint64_t layers, m.need_uint("clip.vision.block_count", 1, kMaxLayers));
  KL_ASSIGN(const uint64_t width, m.need_uint("clip.vision.embedding_length", 8, kMaxWidth));
  KL_ASSIGN(const uint64_t heads, m.need_uint("clip.vision.attention.head_count", 1, kMaxHeads));
  KL_ASSIGN(const uint64_t patch, m.need_uint("clip.vision.patch_size", 1, kMaxPatch));
  KL_ASSIGN(const uint64_t image, m.need_uint("clip.vision.image_size", patch, kMaxImage));
  KL_ASSIGN(const std::optional<double> eps, m.find_float("clip.vision.attention.layer_norm_epsilon", 0.0, 1.0));
  if (width % heads != 0 || width / heads > kMaxHeadSize) {
    return error(Code::corrupt, "width %llu does not divide into %llu heads of at most %llu", static_cast<unsigned long long>(width),
                 static_cast<unsigned long long>(heads), static_cast<unsigned long long>(kMaxHeadSize));
  }
  s.layers = static_cast<uint32_t>(layers);
  s.width = static_cast<uint32_t>(width);
  s.heads = static_cast<uint32_t>(heads);
  s.head_size = s.width / s.heads;
  s.patch = static_cast<uint32_t>(patch);
  s.image_size = static_cast<uint32_t>(image);
  s.norm_eps = static_cast<float>(eps.value_or(1e-6));
  KL_ASSIGN(const std::optional<bool> gelu, m.find_bool("clip.use_gelu"));
  KL_ASSIGN(const std::optional<bool> silu, m.find_bool("clip.use_silu"));
  s.activation = gelu.value_or(false) ? Activation::gelu_tanh : silu.value_or(false) ? Activation::silu : Activation::gelu_quick;
  KL_TRY(read_triple(m, "clip.vision.image_mean", -16.0f, 16.0f, s.mean));
  KL_TRY(read_triple(m, "clip.vision.image_std", 1e-6f, 16.0f, s.deviation));
  return read_ffn(find, s.projector == "mlp", s);
}

// What follows from the whole: every width that the tensors' shapes gave, and a grid that merges without a rest.
Status check_spec(const VisionSpec& s) {
  if (s.feature_width < 1 || s.feature_width > kMaxWidth) {
    return error(Code::corrupt, "result rows of %u values, expected 1 to %llu", s.feature_width,
                 static_cast<unsigned long long>(kMaxWidth));
  }
  if (s.rule != TileRule::dynamic && grid_side(s) % s.merge != 0) {
    return error(Code::corrupt, "a tile of %u patches a side does not merge %u by %u", grid_side(s), s.merge, s.merge);
  }
  return {};
}

}  // namespace

Status read_merge(const Metadata& m, const char* key, uint64_t inputs, VisionSpec& s) {
  KL_ASSIGN(const std::optional<uint64_t> said, m.find_uint(key, 1, kMaxMerge));
  uint64_t merge = 1;
  while (merge < kMaxMerge && merge * merge * s.width < inputs) ++merge;
  if (merge * merge * s.width != inputs || said.value_or(merge) != merge) {
    return error(Code::corrupt, "the projector takes %llu values where %s merges patches of %u by the square of %llu",
                 static_cast<unsigned long long>(inputs), key, s.width, static_cast<unsigned long long>(said.value_or(merge)));
  }
  s.merge = static_cast<uint32_t>(merge);
  return {};
}

Result<Encoder> read_encoder(const Metadata& metadata, const TensorLookup& find) {
  Encoder e;
  KL_ASSIGN(e.family, family_of(metadata));
  e.spec.projector = e.family->projector;
  e.spec.text = e.family->text;
  KL_TRY(read_common(metadata, find, e.spec));
  KL_TRY(e.family->read(metadata, find, e.spec));
  KL_TRY(check_spec(e.spec));
  return e;
}

Result<Program> describe(const Encoder& encoder, const TensorLookup& find) {
  const VisionSpec& s = encoder.spec;
  const VisionFamily& family = *encoder.family;
  Builder b;
  b.program.pool = s.merge * s.merge;
  EncoderWeights w;
  KL_TRY(read_rows(b, s, family.tensors, 0, find, w));
  Value x = family.embed(b, s, w);  // x [T M]
  for (uint32_t l = 0; l < s.layers; ++l) {
    BlockWeights block;
    KL_TRY(read_rows(b, s, family.block, l, find, block));
    x = encoder_block(b, s, l, block, x);  // x [T M]
  }
  b.program.features = family.project(b, s, w, x);  // [U N]
  for (uint32_t at = 1; at < b.program.ops.size(); ++at) b.program.cuts.push_back(at);
  KL_TRY(check(b.program));
  return std::move(b.program);
}

}  // namespace kl
