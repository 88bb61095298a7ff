// Projector files with keys or tensors that are wrong or missing: every one a clean error that names it (R8).
#include "models/vision_family.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kl {
namespace {

constexpr const char* kNames[] = {"smolvlm", "llava", "gemma3", "qwen2vl", "qwen25vl"};

std::shared_ptr<const Gguf> projector(const std::string& name) {
  auto file = Gguf::open(std::string(KL_TEST_DATA) + "/golden/vision/mmproj-" + name + ".gguf");
  EXPECT_TRUE(file.ok()) << file.status().message();
  return file.ok() ? *file : nullptr;
}

// The file's metadata with one key changed, added (value given) or left out.
Metadata changed(const Gguf& file, const std::string& key, const std::optional<MetaValue>& value, MetaType type = MetaType::u32) {
  Metadata m;
  for (const Metadata::Entry& entry : file.metadata().entries) {
    if (entry.key != key) m.entries.push_back(entry);
  }
  if (value) m.entries.push_back({key, type, *value});
  EXPECT_TRUE(m.index().ok());
  return m;
}

Status read(const Metadata& metadata, const TensorLookup& find) {
  const Result<Encoder> encoder = read_encoder(metadata, find);
  return encoder.ok() ? describe(*encoder, find).status() : encoder.status();
}
Status read(const Gguf& file, const std::string& key, const std::optional<MetaValue>& value, MetaType type = MetaType::u32) {
  return read(changed(file, key, value, type), lookup_in(file));
}

TEST(VisionSpec, EveryFamilyReads) {
  for (const char* name : kNames) {
    const auto file = projector(name);
    const Status status = read(file->metadata(), lookup_in(*file));
    EXPECT_TRUE(status.ok()) << name << ": " << status.message();
  }
}

TEST(VisionSpec, EveryMissingTensorIsNamed) {
  for (const char* name : kNames) {
    const auto file = projector(name);
    for (const TensorInfo& gone : file->tensors()) {
      if (std::string_view(name) == "qwen2vl" && gone.name == "v.post_ln.bias") continue;  // Qwen2.5-VL's norm has none
      const TensorLookup all = lookup_in(*file);
      const Status status = read(file->metadata(), [&](std::string_view t) { return t == gone.name ? std::nullopt : all(t); });
      EXPECT_EQ(status.code(), Code::corrupt) << name << " without " << gone.name;
      // What sizes are taken from is missed first as a size.
      const bool named = status.message().find(gone.name) != std::string::npos ||
                         status.message().find("result rows of 0") != std::string::npos ||
                         status.message().find("the projector takes 0") != std::string::npos;
      EXPECT_TRUE(named) << name << " without " << gone.name << ": " << status.message();
    }
  }
}

TEST(VisionSpec, EveryWrongShapeIsRefused) {
  for (const char* name : kNames) {
    const auto file = projector(name);
    for (const TensorInfo& wrong : file->tensors()) {
      for (const size_t dim : {size_t{0}, size_t{1}, size_t{3}}) {
        // The width of result rows stands nowhere else; the decoder's must agree with it.
        if ((wrong.name == "mm.model.fc.weight" && dim == 1) || (wrong.name == "mm.input_projection.weight" && dim == 0)) continue;
        const TensorLookup all = lookup_in(*file);
        const Status status = read(file->metadata(), [&](std::string_view t) {
          std::optional<SourceTensor> tensor = all(t);
          if (t == wrong.name) tensor->dims[dim] += 1;
          return tensor;
        });
        EXPECT_FALSE(status.ok()) << name << " with another dimension " << dim << " of " << wrong.name;
      }
    }
  }
}

TEST(VisionSpec, KeysOutOfRangeAreErrors) {
  const struct {
    const char* file;
    const char* key;
    uint64_t value;
  } kCases[] = {
      {"smolvlm", "clip.vision.block_count", 0},
      {"smolvlm", "clip.vision.block_count", 3},
      {"smolvlm", "clip.vision.embedding_length", 0},
      {"smolvlm", "clip.vision.embedding_length", 1u << 31},
      {"smolvlm", "clip.vision.embedding_length", 49},
      {"smolvlm", "clip.vision.attention.head_count", 0},
      {"smolvlm", "clip.vision.attention.head_count", 5},
      {"smolvlm", "clip.vision.patch_size", 0},
      {"smolvlm", "clip.vision.patch_size", 7},
      {"smolvlm", "clip.vision.image_size", 7},
      {"smolvlm", "clip.vision.image_size", 56},
      {"smolvlm", "clip.vision.image_size", 1u << 30},
      {"smolvlm", "clip.vision.projector.scale_factor", 0},
      {"smolvlm", "clip.vision.projector.scale_factor", 3},
      {"smolvlm", "clip.vision.preproc_image_size", 0},
      {"gemma3", "clip.vision.projector.scale_factor", 3},
      {"gemma3", "clip.vision.projector.scale_factor", 1u << 16},
      {"llava", "clip.vision.image_size", 40},
      {"qwen2vl", "clip.vision.spatial_merge_size", 3},
      {"qwen2vl", "clip.vision.image_min_pixels", 0},
      {"qwen2vl", "clip.vision.image_max_pixels", 100},
      {"qwen25vl", "clip.vision.window_size", 27},
      {"qwen25vl", "clip.vision.n_wa_pattern", 1u << 20},
  };
  for (const auto& each : kCases) {
    const Status status = read(*projector(each.file), each.key, MetaValue(each.value));
    EXPECT_EQ(status.code(), Code::corrupt) << each.file << " " << each.key << " = " << each.value << ": " << status.message();
  }
}

TEST(VisionSpec, MissingKeysAreNamed) {
  for (const char* key : {"clip.vision.block_count", "clip.vision.embedding_length", "clip.vision.attention.head_count",
                          "clip.vision.patch_size", "clip.vision.image_size", "clip.vision.image_mean", "clip.vision.image_std"}) {
    const Status status = read(*projector("smolvlm"), key, std::nullopt);
    EXPECT_FALSE(status.ok()) << key;
    EXPECT_NE(status.message().find(key), std::string::npos) << status.message();
  }
}

TEST(VisionSpec, ADeviationOfZeroIsRefused) {
  auto zero = std::make_shared<MetaArray>();
  zero->element = MetaType::f32;
  zero->floats = {0.5f, 0.0f, 0.5f};
  EXPECT_EQ(read(*projector("smolvlm"), "clip.vision.image_std", MetaValue(std::shared_ptr<const MetaArray>(zero)), MetaType::array).code(),
            Code::corrupt);
}

TEST(VisionSpec, AnotherProjectorIsRefusedByNameWithTheKnownOnes) {
  const auto file = projector("smolvlm");
  const Status status = read(*file, "clip.projector_type", MetaValue(std::string_view("resampler")), MetaType::string);
  EXPECT_EQ(status.code(), Code::unsupported);
  for (const char* word : {"resampler", "idefics3", "mlp", "gemma3", "qwen2vl_merger", "qwen2.5vl_merger"}) {
    EXPECT_NE(status.message().find(word), std::string::npos) << status.message();
  }
  EXPECT_EQ(read(*file, "general.architecture", MetaValue(std::string_view("llama")), MetaType::string).code(), Code::unsupported);
  EXPECT_EQ(read(*file, "clip.has_vision_encoder", std::nullopt).code(), Code::unsupported);
}

TEST(VisionSpec, ShapesDecideWhatKeysMislead) {
  const auto llava = projector("llava");
  const auto read_spec = [](const Gguf& file, const Metadata& m) {
    auto encoder = read_encoder(m, lookup_in(file));
    EXPECT_TRUE(encoder.ok()) << encoder.status().message();
    return encoder.ok() ? encoder->spec : VisionSpec();
  };
  const VisionSpec legacy = read_spec(*llava, llava->metadata());
  EXPECT_TRUE(legacy.ffn_swapped) << "the script that made LLaVA's files calls the first matrix ffn_down";
  EXPECT_EQ(legacy.layers, 2u) << "block_count counts the blocks to run";
  EXPECT_EQ(legacy.feature_width, 64u) << "projection_dim is CLIP's own";
  auto one = std::make_shared<MetaArray>();
  one->element = MetaType::i32;
  one->ints = {1};
  const MetaValue layer = std::shared_ptr<const MetaArray>(one);
  EXPECT_EQ(read_spec(*llava, changed(*llava, "clip.vision.feature_layer", layer, MetaType::array)).layers, 1u);
  const auto qwen = projector("qwen2vl");
  EXPECT_EQ(read_spec(*qwen, qwen->metadata()).ffn, 128u) << "feed_forward_length holds the decoder's width";
  const auto smolvlm = projector("smolvlm");
  EXPECT_EQ(read_spec(*smolvlm, changed(*smolvlm, "clip.vision.projector.scale_factor", std::nullopt)).merge, 2u);
  EXPECT_EQ(read_spec(*smolvlm, smolvlm->metadata()).rule, TileRule::split);
  EXPECT_EQ(read_spec(*smolvlm, changed(*smolvlm, "clip.vision.preproc_image_size", MetaValue(uint64_t{48}))).rule, TileRule::whole);
}

TEST(VisionSpec, LlavaNextIsRefused) {
  const auto file = projector("llava");
  EXPECT_EQ(read(*file, "clip.vision.mm_patch_merge_type", MetaValue(std::string_view("spatial_unpad")), MetaType::string).code(),
            Code::unsupported);
  EXPECT_TRUE(read(*file, "clip.vision.mm_patch_merge_type", MetaValue(std::string_view("flat")), MetaType::string).ok());
}

TEST(VisionSpec, SquareFeedForwardsAreSwappedInLlavasFilesOnly) {
  for (const std::string name : {"llava", "smolvlm"}) {
    const auto file = projector(name);
    const TensorLookup all = lookup_in(*file);
    const auto encoder = read_encoder(file->metadata(), [&](std::string_view t) {
      std::optional<SourceTensor> tensor = all(t);
      if (t == "v.blk.0.ffn_down.weight") tensor->dims[0] = tensor->dims[1] = name == "llava" ? 64 : 48;
      return tensor;
    });
    ASSERT_TRUE(encoder.ok()) << encoder.status().message();
    EXPECT_EQ(encoder->spec.ffn_swapped, name == "llava") << name;
  }
}

}  // namespace
}  // namespace kl
