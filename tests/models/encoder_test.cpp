// The encoder runner: slices, cancellation, limits, sizes and identity.
#include <filesystem>

#include "models/vision_golden.h"
#include "support/temp_folder.h"

namespace kl {
namespace {

struct Opened {
  std::unique_ptr<Device> device;
  std::unique_ptr<EncoderRunner> encoder;
  VisionGolden golden;
};
Opened open_golden(const std::string& name, const EncoderOptions& options = {}) {
  Opened o;
  o.golden = read_vision_golden(name);
  o.device = open_device({.threads = 2});
  o.encoder = open_encoder(o.golden.projector_path, *o.device, options);
  return o;
}

TEST(EncoderRunner, SlicesOfEverySizeGiveTheSameBits) {
  const Opened o = open_golden("qwen25vl");
  const std::vector<float> whole = encode(*o.encoder, o.golden.tiles);
  for (const uint32_t segments : {1u, 3u, 1000u}) EXPECT_EQ(encode(*o.encoder, o.golden.tiles, segments), whole) << segments;
}

TEST(EncoderRunner, ASliceRunsAsManySegmentsAsAsked) {
  const Opened o = open_golden("smolvlm");
  EncoderRunner& e = *o.encoder;
  EXPECT_EQ(e.segments(), 0u);
  ASSERT_TRUE(e.begin(o.golden.tiles[0]).ok());
  const uint32_t all = e.segments();
  EXPECT_GT(all, 20u) << "cut after every op";
  Result<bool> step = e.advance(3, {});
  ASSERT_TRUE(step.ok());
  EXPECT_FALSE(*step);
  EXPECT_EQ(e.segments_done(), 3u);
  step = e.advance(all - 3, {});
  ASSERT_TRUE(step.ok());
  EXPECT_TRUE(*step);
}

TEST(EncoderRunner, ACancelledTileIsDroppedAndTheNextOneIsRight) {
  const Opened o = open_golden("gemma3");
  EncoderRunner& e = *o.encoder;
  const std::vector<float> expected = encode(e, o.golden.tiles);
  for (const uint32_t at : {0u, 1u, 17u}) {
    ASSERT_TRUE(e.begin(o.golden.tiles[0]).ok());
    uint32_t asked = 0;
    const Result<bool> step = e.advance(~0u, [&] { return asked++ == at; });
    ASSERT_FALSE(step.ok());
    EXPECT_EQ(step.status().code(), Code::cancelled);
    EXPECT_EQ(e.segments(), 0u);
    std::vector<float> rows;
    EXPECT_EQ(e.take(rows).code(), Code::invalid_argument);
    EXPECT_TRUE(rows.empty());
    EXPECT_EQ(encode(e, o.golden.tiles), expected) << "cancelled at segment " << at;
  }
}

TEST(EncoderRunner, CallsOutOfOrderAreErrors) {
  const Opened o = open_golden("llava");
  EncoderRunner& e = *o.encoder;
  std::vector<float> rows;
  EXPECT_EQ(e.advance(1, {}).status().code(), Code::invalid_argument);
  EXPECT_EQ(e.take(rows).code(), Code::invalid_argument);
  ASSERT_TRUE(e.begin(o.golden.tiles[0]).ok());
  EXPECT_EQ(e.take(rows).code(), Code::invalid_argument);
  Picture wrong = o.golden.tiles[0];
  wrong.rgb.pop_back();
  EXPECT_EQ(e.begin(wrong).code(), Code::invalid_argument);
  EXPECT_EQ(e.segments(), 0u) << "begin() drops what was there";
  wrong = {16, 16, std::vector<uint8_t>(768)};
  EXPECT_NE(e.begin(wrong).message().find("takes 32 x 32"), std::string::npos);
}

TEST(EncoderRunner, ATileOfAnySizeIsHeldToTheLimitOfPatches) {
  const Opened o = open_golden("qwen2vl", {.max_patches = 1000, .activations = {}, .pack_cache_dir = {}});
  EXPECT_EQ(o.encoder->preprocess().max_pixels, 1000u * 16);
  EXPECT_TRUE(o.encoder->block(8 * 25, 8 * 10).ok());
  const auto too_large = o.encoder->block(8 * 25, 8 * 11);
  ASSERT_FALSE(too_large.ok());
  EXPECT_NE(too_large.status().message().find("1100 patches; the limit is 1000"), std::string::npos) << too_large.status().message();
  auto file = Gguf::open(o.golden.projector_path);
  ASSERT_TRUE(file.ok());
  for (const uint32_t limit : {0u, 195u, 65537u}) {  // 56 * 56 pixels are 196 patches of 4 * 4
    const auto refused = EncoderRunner::estimate(**file, *o.device, {.max_patches = limit, .activations = {}, .pack_cache_dir = {}});
    EXPECT_EQ(refused.status().code(), Code::invalid_argument) << limit;
  }
}

TEST(EncoderRunner, TheEstimateIsHeldToAndABudgetBelowItIsRefusedWithTheSizes) {
  const Opened o = open_golden("smolvlm");
  auto file = Gguf::open(o.golden.projector_path);
  ASSERT_TRUE(file.ok());
  const auto estimate = EncoderRunner::estimate(**file, *o.device, {});
  ASSERT_TRUE(estimate.ok());
  EXPECT_EQ(estimate->total(), o.encoder->memory().total());
  EXPECT_EQ(estimate->kv, 0u);
  EncoderOptions options;
  options.memory_budget = estimate->total();
  EXPECT_TRUE(EncoderRunner::load(*file, *o.device, options, {}, {}).ok());
  options.memory_budget -= 1;
  const auto refused = EncoderRunner::load(*file, *o.device, options, {}, {});
  EXPECT_EQ(refused.status().code(), Code::out_of_memory);
  EXPECT_NE(refused.status().message().find(with_commas(estimate->total())), std::string::npos) << refused.status().message();
}

TEST(EncoderRunner, IdentityIsThatOfContentsBackendAndActivations) {
  const test::TempFolder folder;
  const VisionGolden g = read_vision_golden("smolvlm");
  const std::string copy = folder.path() + "/copy.gguf", trained = folder.path() + "/trained.gguf";
  std::filesystem::copy_file(g.projector_path, copy);
  std::filesystem::copy_file(g.projector_path, trained);
  {
    std::fstream file(trained, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-100, std::ios::end);  // in the last tensor
    file.put('\x11');
  }
  const auto identity = [](const std::string& path, const Cut& cut) {
    const std::unique_ptr<Device> device = open_device(cut);
    return open_encoder(path, *device, {.activations = cut.activations, .pack_cache_dir = {}})->identity();
  };
  const std::string own = identity(g.projector_path, {});
  EXPECT_EQ(identity(copy, {.threads = 2}), own) << "neither the path nor the number of threads";
  EXPECT_NE(identity(trained, {}), own);
  EXPECT_NE(identity(g.projector_path, {.reference = true}), own);
  EXPECT_NE(identity(g.projector_path, {.activations = ActivationFormat::f32}),
            identity(g.projector_path, {.activations = ActivationFormat::q8}));
}

TEST(EncoderRunner, ATransposedProjectorComesBackFromThePackCache) {
  const test::TempFolder folder;
  const VisionGolden g = read_vision_golden("gemma3");
  const std::unique_ptr<Device> device = open_device({});
  const auto packed = open_encoder(g.projector_path, *device, {.activations = {}, .pack_cache_dir = folder.path()});
  const auto cached = open_encoder(g.projector_path, *device, {.activations = {}, .pack_cache_dir = folder.path()});
  EXPECT_EQ(encode(*cached, g.tiles), encode(*packed, g.tiles));
}

TEST(EncoderRunner, CostCountsTheAttentionOfWindowsAsWindows) {
  const Opened o = open_golden("qwen25vl");
  const Picture& tile = o.golden.tiles[0];
  const VisionSpec& s = o.encoder->spec();
  const uint64_t patches = uint64_t{tile.width / s.patch} * (tile.height / s.patch), width = s.width;
  uint64_t windows = 0;  // 12 x 10 patches: 8 x 8, 8 x 2, 4 x 8 and 4 x 2
  for (const uint64_t each : {64u, 16u, 32u, 8u}) windows += each * each;
  const uint64_t attention = 2 * width * (2 * patches * patches + 2 * windows);  // q.k and weights.v; two blocks of each kind
  const uint64_t block = patches * width * (4 * width + 3 * s.ffn), merged = uint64_t{s.merge} * s.merge * width;
  const uint64_t ends = patches * 2 * 3 * s.patch * s.patch * width + patches / 4 * merged * (merged + s.feature_width);
  EXPECT_EQ(o.encoder->cost(tile.width, tile.height).macs, attention + s.layers * block + ends);
  EXPECT_EQ(o.encoder->cost(13, 13).macs, 0u);
}

// Steps with pictures: what becomes an address on the device is checked.
TEST(ModelRunner, RowsThatCannotBeAreErrors) {
  const VisionGolden g = read_vision_golden("smolvlm");
  auto file = Gguf::open(g.text_path);
  ASSERT_TRUE(file.ok());
  const std::unique_ptr<Device> device = open_device({});
  const auto run = [&](bool features, const auto& change) {
    RunnerOptions options;
    options.context = 64;
    options.features = features;
    auto runner = ModelRunner::load(*file, *device, options, {}, {});
    EXPECT_TRUE(runner.ok()) << runner.status().message();
    const std::vector<float> row((*runner)->spec().width, 0.5f);
    std::vector<int32_t> tokens = {1, 5, 6};
    std::vector<std::array<int32_t, 3>> positions = {{0, 0, 0}, {1, 1, 1}, {2, 2, 2}};
    std::vector<std::array<uint32_t, 2>> spans = {{0, 1}, {1, 3}, {1, 3}};
    std::vector<const float*> rows = {nullptr, row.data(), row.data()};
    change(tokens, positions, spans, rows);
    const SequenceId sequence = (*runner)->cache().create_sequence(64);
    EXPECT_TRUE((*runner)->cache().reserve(sequence, 3).ok());
    StepBatch batch;
    StepSequence s{sequence, tokens, 0, 1};
    s.positions = positions;
    s.spans = spans;
    s.features = rows;
    batch.sequences.push_back(s);
    return (*runner)->run(batch).status();
  };
  EXPECT_TRUE(run(true, [](auto&, auto&, auto&, auto&) {}).ok());
  EXPECT_EQ(run(false, [](auto&, auto&, auto&, auto&) {}).code(), Code::invalid_argument) << "a model without a projector";
  EXPECT_TRUE(run(false, [](auto&, auto&, auto&, auto& rows) { rows.clear(); }).ok());
  EXPECT_EQ(run(true, [](auto&, auto& positions, auto&, auto&) { positions.pop_back(); }).code(), Code::invalid_argument);
  EXPECT_EQ(run(true, [](auto&, auto& positions, auto&, auto&) { positions[1][2] = -1; }).code(), Code::invalid_argument);
  EXPECT_EQ(run(true, [](auto&, auto&, auto& spans, auto&) { spans[1] = {1, 4}; }).code(), Code::invalid_argument) << "beyond the step";
  EXPECT_EQ(run(true, [](auto&, auto&, auto& spans, auto&) { spans[2] = {0, 2}; }).code(), Code::invalid_argument) << "without itself";
  EXPECT_EQ(run(true, [](auto&, auto&, auto& spans, auto&) { spans[1] = {2, 3}; }).code(), Code::invalid_argument) << "behind itself";
  EXPECT_EQ(run(true, [](auto& tokens, auto&, auto&, auto&) { tokens[0] = -1; }).code(), Code::invalid_argument)
      << "no way to name a feature row";
}

}  // namespace
}  // namespace kl
