// Qwen2-VL's tower (Wang et al., 2024): tiles of any size, 2-D rope instead of a position table, 2 x 2 patches merged by two linear maps
// with GELU between. Qwen2.5-VL's (Bai et al., 2025): RMS norms, a gated feed-forward, most blocks within windows.
#include "models/vision_blocks.h"
#include "models/vision_family.h"

namespace kl {

using B = BlockWeights;
using E = EncoderWeights;
using D = VisionDim;

// clang-format off
static constexpr VisionRow<E> kTensors[] = {
    // field             in a GGUF file                outputs       inputs
    {&E::patch,          "v.patch_embd.weight",         D::width,     D::patch, false, Stored::kernel},
    {&E::second_patch,   "v.patch_embd.weight.1",       D::width,     D::patch, false, Stored::kernel},
    {&E::post_norm,      "v.post_ln.weight",            D::one,       D::width},
    {&E::post_norm_bias, "v.post_ln.bias",              D::one,       D::width, true},
    {&E::first,          "mm.0.weight",                 D::merged,    D::merged},
    {&E::first_bias,     "mm.0.bias",                   D::one,       D::merged},
    {&E::second,         "mm.2.weight",                 D::feature,   D::merged},
    {&E::second_bias,    "mm.2.bias",                   D::one,       D::feature},
};
static constexpr VisionRow<B> kGatedBlock[] = {
    // field             in a GGUF file             outputs   inputs
    {&B::attn_norm,      "v.blk.{}.ln1.weight",      D::one,   D::width},
    {&B::q,              "v.blk.{}.attn_q.weight",   D::width, D::width},
    {&B::k,              "v.blk.{}.attn_k.weight",   D::width, D::width},
    {&B::v,              "v.blk.{}.attn_v.weight",   D::width, D::width},
    {&B::q_bias,         "v.blk.{}.attn_q.bias",     D::one,   D::width},
    {&B::k_bias,         "v.blk.{}.attn_k.bias",     D::one,   D::width},
    {&B::v_bias,         "v.blk.{}.attn_v.bias",     D::one,   D::width},
    {&B::o,              "v.blk.{}.attn_out.weight", D::width, D::width},
    {&B::o_bias,         "v.blk.{}.attn_out.bias",   D::one,   D::width},
    {&B::ffn_norm,       "v.blk.{}.ln2.weight",      D::one,   D::width},
    {&B::gate,           "v.blk.{}.ffn_gate.weight", D::ffn,   D::width},
    {&B::gate_bias,      "v.blk.{}.ffn_gate.bias",   D::one,   D::ffn},
    {&B::up,             "v.blk.{}.ffn_up.weight",   D::ffn,   D::width},
    {&B::up_bias,        "v.blk.{}.ffn_up.bias",     D::one,   D::ffn},
    {&B::down,           "v.blk.{}.ffn_down.weight", D::width, D::ffn},
    {&B::down_bias,      "v.blk.{}.ffn_down.bias",   D::one,   D::width},
};
// clang-format on

// Not in the file: the rope's base, the epsilon (the key holds the text model's; the originals have 1e-6 in code), pixel limits (of the
// published preprocessor) where their keys are missing. image_size is a dummy.
static Status read(const Metadata& m, const TensorLookup& find, VisionSpec& s) {
  constexpr uint64_t kMinPixels = 56 * 56, kMaxPixels = 28 * 28 * 16384;
  KL_TRY(read_merge(m, "clip.vision.spatial_merge_size", dimension(find, "mm.0.weight", 0), s));
  KL_ASSIGN(const std::optional<uint64_t> min_pixels, m.find_uint("clip.vision.image_min_pixels", 1, 1u << 30));
  KL_ASSIGN(const std::optional<uint64_t> max_pixels,
            m.find_uint("clip.vision.image_max_pixels", min_pixels.value_or(kMinPixels), 1u << 30));
  s.min_pixels = min_pixels.value_or(kMinPixels);
  s.max_pixels = max_pixels.value_or(std::max<uint64_t>(kMaxPixels, s.min_pixels));
  s.norm_eps = 1e-6f;
  s.rule = TileRule::dynamic;
  s.filter = TileFilter::bicubic;
  s.image_size = 0;
  if (s.head_size % 4 != 0) return error(Code::corrupt, "heads of %u values do not divide into rope pairs for two axes", s.head_size);
  s.rope.style = RopeStyle::halves;
  s.rope.dims = s.head_size;
  s.rope.sections[0] = s.rope.sections[1] = s.head_size / 4;
  s.rope.section_frequencies = true;
  s.feature_width = dimension(find, "mm.2.weight", 1);
  return {};
}

// Every n_wa_pattern-th block sees the whole tile. The window's 112 pixels are in newer files only.
static Status read_25(const Metadata& m, const TensorLookup& find, VisionSpec& s) {
  KL_TRY(read(m, find, s));
  s.norm = NormKind::rms;
  KL_ASSIGN(const std::optional<uint64_t> pattern, m.find_uint("clip.vision.n_wa_pattern", 0, 1024));
  if (pattern.value_or(0) == 0) return {};
  KL_ASSIGN(const std::optional<uint64_t> window, m.find_uint("clip.vision.window_size", 1, 1 << 14));
  const uint64_t square = uint64_t{s.patch} * s.merge;  // pixels along a side of what becomes one row
  const uint64_t squares = window.value_or(112) / square;
  if (squares == 0)
    return error(Code::corrupt, "an attention window of less than a merged row's %llu pixels", static_cast<unsigned long long>(square));
  s.window = static_cast<uint32_t>(squares * s.merge);
  for (uint32_t l = 0; l < s.layers; ++l) s.whole_attention.push_back((l + 1) % *pattern == 0);
  return {};
}

// clang-format off
static Value project(Builder& b, const VisionSpec& s, const EncoderWeights& w, Value x) {
  const Value n      = b.norm(x, w.post_norm, s.norm_eps, 1, s.norm, w.post_norm_bias);           // [T M]
  const Value merged = b.pool(n, PoolKind::concatenate);                                          // [U merge*merge*M]
  const Value hidden = b.activate(b.linear(merged, w.first, w.first_bias), {},
                                  Activation::gelu_erf);                                          // [U merge*merge*M]
  return               b.linear(hidden, w.second, w.second_bias);                                 // [U N]
}
// clang-format on

static constexpr ImageText kText = {.placeholder = "<|image_pad|>", .bare_before = "<|vision_start|>", .bare_after = "<|vision_end|>"};

extern const VisionFamily kQwen2VlVisionFamily = {"qwen2vl_merger", kText, read, kTensors, kPlainBlock, embed_patches, project};
extern const VisionFamily kQwen25VlVisionFamily = {"qwen2.5vl_merger", kText, read_25, kTensors, kGatedBlock, embed_patches, project};

}  // namespace kl
