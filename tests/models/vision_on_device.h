// What a backend must make of a vision-language golden: the encoder's rows, and the text after the picture.
#pragma once
#include "models/vision_golden.h"

namespace kl {

struct EncodedTiles {
  std::vector<float> rows;  // [feature rows of all tiles, width]
  FeatureBlock block;       // of one tile
};

// `segments` segments of the encoder at a time; without activations in the number format that the backend prefers.
inline EncodedTiles encode_tiles(const VisionGolden& g, Device& device, std::optional<ActivationFormat> activations,
                                 uint32_t segments = ~0u) {
  const auto encoder = open_encoder(g.projector_path, device, {.activations = activations, .pack_cache_dir = {}});
  if (encoder == nullptr) return {};
  const auto block = encoder->block(g.tiles.front().width, g.tiles.front().height);
  EXPECT_TRUE(block.ok()) << block.status().message();
  if (!block.ok()) return {};
  return {encode(*encoder, g.tiles, segments), *block};
}

inline void expect_rows_and_text_of_transformers(const VisionGolden& g, Device& device) {
  const EncodedTiles made = encode_tiles(g, device, ActivationFormat::f32);
  const double d = distance(made.rows, g.rows);
  testing::Test::RecordProperty("distance", std::to_string(d));
  EXPECT_LE(d, 1e-3);  // weights and patches of 16 bits
  const auto logits = run_vision(g, made.rows, made.block, {.activations = ActivationFormat::f32, .device = &device});
  const double kl = mean_kl(logits, g.logits, g.vocabulary);
  testing::Test::RecordProperty("kl", std::to_string(kl));
  EXPECT_LE(kl, 1e-4);
  EXPECT_GE(kl, -1e-9);
}

}  // namespace kl
