// CLIP's tower (Radford et al., 2021) as LLaVA-1.5 uses it (Liu et al., 2023): a class token before the patches, a norm before the blocks,
// the rows of the last block but one, two linear maps with GELU between. The class token's row is computed with the rest and left out of
// the result.
#include "models/vision_blocks.h"
#include "models/vision_family.h"

namespace kl {

using E = EncoderWeights;
using D = VisionDim;

// clang-format off
static constexpr VisionRow<E> kTensors[] = {
    // field             in a GGUF file                outputs       inputs
    {&E::patch,          "v.patch_embd.weight",         D::width,     D::patch, false, Stored::kernel},
    {&E::class_token,    "v.class_embd",                D::one,       D::width},
    {&E::positions,      "v.position_embd.weight",      D::positions, D::width},
    {&E::pre_norm,       "v.pre_ln.weight",             D::one,       D::width},
    {&E::pre_norm_bias,  "v.pre_ln.bias",               D::one,       D::width},
    {&E::first,          "mm.0.weight",                 D::feature,   D::width},
    {&E::first_bias,     "mm.0.bias",                   D::one,       D::feature},
    {&E::second,         "mm.2.weight",                 D::feature,   D::feature},
    {&E::second_bias,    "mm.2.bias",                   D::one,       D::feature},
};
// clang-format on

// block_count is already that of the blocks to run; feature_layer, newer, says the same in hidden states (0: before the first block).
static Status read(const Metadata& m, const TensorLookup& find, VisionSpec& s) {
  KL_ASSIGN(const std::optional<std::string_view> merge, m.find_string("clip.vision.mm_patch_merge_type"));
  if (merge.value_or("flat") != "flat" || m.has("clip.vision.image_grid_pinpoints")) {
    return error(Code::unsupported, "an encoder for pictures in several resolutions (LLaVA-NeXT); LLaVA-1.5's single one is described");
  }
  KL_ASSIGN(const std::span<const int64_t> layers, m.find_ints("clip.vision.feature_layer"));
  if (layers.size() > 1) return error(Code::unsupported, "features of %zu layers side by side", layers.size());
  if (!layers.empty()) {
    if (layers[0] < 1 || layers[0] > s.layers) {
      return error(Code::corrupt, "clip.vision.feature_layer is %lld, expected 1 to %u", static_cast<long long>(layers[0]), s.layers);
    }
    s.layers = static_cast<uint32_t>(layers[0]);
  }
  s.class_token = true;
  s.positions = grid_side(s) * grid_side(s) + 1;
  s.rule = TileRule::crop;
  s.filter = TileFilter::bicubic;
  s.feature_width = dimension(find, "mm.2.weight", 1);
  return {};
}

// clang-format off
static Value embed(Builder& b, const VisionSpec& s, const EncoderWeights& w) {
  const Value token  = b.gather_rows(w.class_token, 1.0f, RowIndex::position0);                   // [T M], zeros for patches
  const Value x      = b.add(embed_patches(b, s, w), token);                                      // [T M]
  return               b.norm(x, w.pre_norm, s.norm_eps, 1, s.norm, w.pre_norm_bias);             // [T M]
}

static Value project(Builder& b, const VisionSpec&, const EncoderWeights& w, Value x) {
  const Value hidden = b.activate(b.linear(x, w.first, w.first_bias), {}, Activation::gelu_erf);  // [T N]
  return               b.linear(hidden, w.second, w.second_bias);                                 // [T N]
}
// clang-format on

extern const VisionFamily kLlavaFamily = {"mlp",  {.placeholder = "<image>", .bare_after = "\n"}, read, kTensors, kPlainBlock, embed,
                                          project};

}  // namespace kl
