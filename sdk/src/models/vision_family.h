// An encoder family: how its hyperparameters are read, which tensors it has, and its step. One file per tower; the registry lists a row per
// projector.
#pragma once
#include <span>
#include <string>

#include "core/status.h"
#include "ir/builder.h"
#include "models/vision_spec.h"
#include "models/vision_tensors.h"
#include "weights/gguf.h"

namespace kl {

struct VisionFamily {
  const char* projector;  // clip.projector_type of a GGUF file
  ImageText text;
  // Reads and validates what the family adds to the common hyperparameters, which are already in `spec`.
  Status (*read)(const Metadata& metadata, const TensorLookup& find, VisionSpec& spec);
  std::span<const VisionRow<EncoderWeights>> tensors;
  std::span<const VisionRow<BlockWeights>> block;
  // What stands before the blocks and behind them: x [T M], and [T M] -> [U N] or [T N].
  Value (*embed)(Builder& b, const VisionSpec& s, const EncoderWeights& w);
  Value (*project)(Builder& b, const VisionSpec& s, const EncoderWeights& w, Value x);
};

std::span<const VisionFamily* const> vision_families();

struct Encoder {
  const VisionFamily* family = nullptr;
  VisionSpec spec;
};
// The encoder of a projector's file. Errors: unsupported (another architecture, no vision encoder, an unknown projector: named, with the
// list), keys or tensors missing or out of range.
Result<Encoder> read_encoder(const Metadata& metadata, const TensorLookup& find);

// Encoding one tile as a Program with Program::features, cut after every op.
Result<Program> describe(const Encoder& encoder, const TensorLookup& find);

// Ways in which rows are cut into ranges (DenseAttention::segmentation).
inline constexpr uint32_t kWholeTile = 0, kWindows = 1;
inline uint32_t segmentations(const VisionSpec& s) { return s.window > 0 ? 2 : 1; }

// ---- shared by the families ----

// The patches along a side of a tile of fixed size.
uint32_t grid_side(const VisionSpec& s);
// Sets merge from the width of the projector's first matrix, `inputs` = merge*merge*M, which must agree with metadata key `key` where that
// is present.
Status read_merge(const Metadata& metadata, const char* key, uint64_t inputs, VisionSpec& spec);
// A tensor's dimension, 2^32 - 1 at most, 0 where it is missing: what shapes say better than keys. add_tensor reports the missing one.
uint32_t dimension(const TensorLookup& find, const char* name, size_t index);

}  // namespace kl
