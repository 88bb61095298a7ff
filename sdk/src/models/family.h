// A decoder family: how its hyperparameters are read, which tensors its layers have, and the layer itself. One file per family; the
// registry lists them.
#pragma once
#include <span>
#include <string>

#include "core/status.h"
#include "ir/builder.h"
#include "models/spec.h"
#include "models/tensors.h"
#include "weights/gguf.h"

namespace kl {

struct Family {
  const char* architecture;  // general.architecture of a GGUF file
  // Reads and validates what the family adds to the common hyperparameters, which are already in `spec`.
  Status (*read)(const Metadata& metadata, const TensorLookup& find, Spec& spec);
  std::span<const TensorRow> tensors;
  // One layer: x [T M] -> x [T M].
  Value (*layer)(Builder& b, const Spec& s, uint32_t index, const LayerWeights& w, Value x);
};

std::span<const Family* const> families();

// The family of a file and its validated spec. Errors: unsupported architecture (named, with the list of known ones), keys missing or out
// of range.
struct DescribedModel {
  const Family* family = nullptr;
  Spec spec;
};
Result<DescribedModel> read_model(const Metadata& metadata, const TensorLookup& find);

// The model's step as a Program: embedding, layers, head; and the token drawn of each output row; with `features` rows of
// an encoder where a token is negative.
Result<Program> describe(const DescribedModel& model, const TensorLookup& find, bool features);

// ---- shared by the families' read functions ----

// Reads rope.freq_base, rope.dimension_count and linear rope.scaling of `metadata` into a RopeSpec. Other scaling types are refused by
// name.
Result<RopeSpec> read_rope(const Metadata& metadata, const Spec& spec, RopeStyle style);
// Fills spec.layer with `rope` and each layer's window (window_of(layer); 0: none), and spec.kv_groups from the distinct windows.
void assign_layers(Spec& spec, const RopeSpec& rope, const std::function<uint32_t(uint32_t layer)>& window_of);
// "<architecture>.<name>"
std::string key(const Spec& spec, const char* name);

}  // namespace kl
