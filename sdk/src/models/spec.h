// A model's hyperparameters, read from metadata and validated against declared ranges (R8). Variants come from these fields, never from a
// name. Dimension letters: T rows in this step, S cached length, H query heads, G KV heads, D head size, M model width, F FFN width, V
// vocabulary.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/op.h"

namespace kl {

struct LayerSpec {
  uint32_t window = 0;    // sliding window: a token sees itself and window - 1 before it; 0: all
  RopeSpec rope;          // rope.enabled false: a layer without positions
  uint32_t kv_group = 0;  // index into Spec::kv_groups
  uint32_t kv_layer = 0;  // index within that group
};

// Layers whose cache has one shape and one window.
struct KvGroupSpec {
  uint32_t heads = 0;      // G
  uint32_t head_size = 0;  // D
  uint32_t window = 0;
  uint32_t layers = 0;
};

struct Spec {
  std::string architecture;  // "llama", "qwen2", "qwen3", "qwen2vl", "gemma3"
  uint32_t layers = 0;
  uint32_t width = 0;            // M
  uint32_t ffn = 0;              // F
  uint32_t heads = 0;            // H
  uint32_t kv_heads = 0;         // G
  uint32_t head_size = 0;        // D
  uint32_t vocabulary = 0;       // V
  uint32_t trained_context = 0;  // tokens the model was trained for
  float norm_eps = 1e-5f;
  float attention_scale = 0;  // multiplies q.k
  float embedding_scale = 1;
  Activation activation = Activation::silu;
  bool qkv_bias = false;
  bool head_norm = false;      // RMS norm of each q and k head
  bool sandwich_norm = false;  // norms after attention and after the feed-forward as well
  bool tied_head = false;      // the head is the embedding
  bool rope_factors = false;   // rope_freqs.weight divides the frequencies
  // Images in the prompt: what the decoder wants of them. Both are facts of the decoder's family, whatever the projector.
  bool bidirectional_images = false;  // an image's rows attend to each other both ways, in sliding layers too
  bool grid_positions = false;   // M-RoPE: an image's row (y, x) at p has positions (p, p + y, p + x), what follows starts at p + max(h, w)
  std::vector<LayerSpec> layer;  // [layers]
  std::vector<KvGroupSpec> kv_groups;
};

}  // namespace kl
