// SigLIP towers (Zhai et al., 2023) with two projectors: Idefics3 and SmolVLM put the rows of merge x merge patches side by side (pixel
// shuffle) before one linear map; Gemma 3 takes their mean, norms it and maps it.
#include "models/vision_blocks.h"
#include "models/vision_family.h"

namespace kl {

using E = EncoderWeights;
using D = VisionDim;

// clang-format off
static constexpr VisionRow<E> kIdefics3Tensors[] = {
    // field             in a GGUF file                outputs       inputs
    {&E::patch,          "v.patch_embd.weight",         D::width,     D::patch, false, Stored::kernel},
    {&E::patch_bias,     "v.patch_embd.bias",           D::one,       D::width},
    {&E::positions,      "v.position_embd.weight",      D::positions, D::width},
    {&E::post_norm,      "v.post_ln.weight",            D::one,       D::width},
    {&E::post_norm_bias, "v.post_ln.bias",              D::one,       D::width},
    {&E::first,          "mm.model.fc.weight",          D::feature,   D::merged},
};
static constexpr VisionRow<E> kGemma3Tensors[] = {
    // field             in a GGUF file                outputs       inputs
    {&E::patch,          "v.patch_embd.weight",         D::width,     D::patch, false, Stored::kernel},
    {&E::patch_bias,     "v.patch_embd.bias",           D::one,       D::width},
    {&E::positions,      "v.position_embd.weight",      D::positions, D::width},
    {&E::post_norm,      "v.post_ln.weight",            D::one,       D::width},
    {&E::post_norm_bias, "v.post_ln.bias",              D::one,       D::width},
    {&E::projector_norm, "mm.soft_emb_norm.weight",     D::one,       D::width},
    {&E::first,          "mm.input_projection.weight",  D::feature,   D::width, false, Stored::transposed},
};
// clang-format on

static uint32_t table_rows(const VisionSpec& s) { return grid_side(s) * grid_side(s); }

// preproc_image_size is the longest edge before the picture is cut into tiles; where it is a tile's own size, splitting is off.
static Status read_idefics3(const Metadata& m, const TensorLookup& find, VisionSpec& s) {
  KL_TRY(read_merge(m, "clip.vision.projector.scale_factor", dimension(find, "mm.model.fc.weight", 0), s));
  KL_ASSIGN(const std::optional<uint64_t> longest, m.find_uint("clip.vision.preproc_image_size", 1, 1 << 16));
  s.longest_edge = static_cast<uint32_t>(longest.value_or(s.image_size));
  s.rule = s.longest_edge > s.image_size ? TileRule::split : TileRule::whole;
  s.filter = TileFilter::lanczos;
  s.positions = table_rows(s);
  s.feature_width = dimension(find, "mm.model.fc.weight", 1);
  return {};
}

// The pool's side is written only where it is not 4.
static Status read_gemma3(const Metadata& m, const TensorLookup& find, VisionSpec& s) {
  KL_ASSIGN(const std::optional<uint64_t> scale, m.find_uint("clip.vision.projector.scale_factor", 1, 16));
  s.merge = static_cast<uint32_t>(scale.value_or(4));
  s.rule = TileRule::stretch;
  s.filter = TileFilter::bilinear;
  s.positions = table_rows(s);
  s.feature_width = dimension(find, "mm.input_projection.weight", 0);
  return {};
}

// clang-format off
static Value project_idefics3(Builder& b, const VisionSpec& s, const EncoderWeights& w, Value x) {
  const Value n      = b.norm(x, w.post_norm, s.norm_eps, 1, s.norm, w.post_norm_bias);           // [T M]
  const Value merged = b.pool(n, PoolKind::concatenate);                                          // [U merge*merge*M]
  return               b.linear(merged, w.first);                                                 // [U N]
}

static Value project_gemma3(Builder& b, const VisionSpec& s, const EncoderWeights& w, Value x) {
  const Value n      = b.norm(x, w.post_norm, s.norm_eps, 1, s.norm, w.post_norm_bias);           // [T M]
  const Value mean   = b.pool(n, PoolKind::mean);                                                 // [U M]
  return               b.linear(b.norm(mean, w.projector_norm, s.norm_eps), w.first);             // [U N]
}
// clang-format on

extern const VisionFamily kIdefics3Family = {"idefics3",
                                             {.placeholder = "<image>",
                                              .before = "<fake_token_around_image><global-img>",
                                              .tile = "<fake_token_around_image><row_{r}_col_{c}>",
                                              .row_end = "\n",
                                              .whole = "\n<fake_token_around_image><global-img>",
                                              .after = "<fake_token_around_image>"},
                                             read_idefics3,
                                             kIdefics3Tensors,
                                             kPlainBlock,
                                             embed_patches,
                                             project_idefics3};

extern const VisionFamily kGemma3VisionFamily = {
    "gemma3",      {.placeholder = "<start_of_image>", .before = "\n\n<start_of_image>", .after = "<end_of_image>\n\n"},
    read_gemma3,   kGemma3Tensors,
    kPlainBlock,   embed_patches,
    project_gemma3};

}  // namespace kl
