// A tiny vision-language pair, its tiles, its token ids and what transformers makes of them (scripts/goldens/vision.py); and the runs a
// test makes of it.
#pragma once
#include <algorithm>

#include "engine/encoder_runner.h"
#include "models/golden.h"

namespace kl {

struct VisionGolden {
  std::string text_path, projector_path;
  std::vector<Picture> tiles;
  std::vector<int32_t> ids;   // -1: a feature row
  std::vector<float> rows;    // [feature rows, width] of all tiles
  std::vector<float> logits;  // [ids.size() vocabulary]
  size_t vocabulary = 0;
};

inline VisionGolden read_vision_golden(const std::string& name) {
  VisionGolden g;
  const std::string folder = test_data() + "/golden/vision/", stem = folder + name;
  g.text_path = stem + ".gguf";
  g.projector_path = folder + "mmproj-" + name + ".gguf";
  std::ifstream ids(stem + ".ids");
  for (int32_t id; ids >> id;) g.ids.push_back(id);
  uint32_t width = 0, height = 0, count = 0;
  std::ifstream(stem + ".tiles") >> width >> height >> count;
  std::ifstream rgb(stem + ".rgb", std::ios::binary);
  for (uint32_t i = 0; i < count; ++i) {
    Picture tile{width, height, std::vector<uint8_t>(size_t{3} * width * height)};
    rgb.read(reinterpret_cast<char*>(tile.rgb.data()), static_cast<std::streamsize>(tile.rgb.size()));
    g.tiles.push_back(std::move(tile));
  }
  EXPECT_TRUE(rgb.good() && count > 0) << stem;
  g.rows = read_npy(stem + "-rows.npy");
  g.logits = read_npy(stem + ".npy");
  g.vocabulary = g.logits.size() / std::max<size_t>(g.ids.size(), 1);
  return g;
}

inline std::unique_ptr<Device> open_device(const Cut& cut) {
  auto device = cpu::open_cpu({.threads = cut.threads, .isa = {}, .reference = cut.reference});
  EXPECT_TRUE(device.ok()) << device.status().message();
  return std::move(*device);
}

inline std::unique_ptr<EncoderRunner> open_encoder(const std::string& path, Device& device, const EncoderOptions& options = {}) {
  auto file = Gguf::open(path);
  EXPECT_TRUE(file.ok()) << file.status().message();
  auto encoder = EncoderRunner::load(*file, device, options, {}, {});
  EXPECT_TRUE(encoder.ok()) << encoder.status().message();
  return encoder.ok() ? std::move(*encoder) : nullptr;
}

// Rows of all tiles, encoded `segments` segments at a time.
inline std::vector<float> encode(EncoderRunner& encoder, const std::vector<Picture>& tiles, uint32_t segments = ~0u) {
  std::vector<float> rows;
  for (const Picture& tile : tiles) {
    const Status begun = encoder.begin(tile);
    EXPECT_TRUE(begun.ok()) << begun.message();
    for (bool ended = !begun.ok(); !ended;) {
      const Result<bool> step = encoder.advance(segments, {});
      EXPECT_TRUE(step.ok()) << step.status().message();
      ended = !step.ok() || *step;
    }
    EXPECT_TRUE(encoder.take(rows).ok());
  }
  return rows;
}

// Where the rows of a sequence with pictures stand: what an engine works out for each of its prompts.
struct Placed {
  std::vector<int32_t> tokens;
  std::vector<const float*> features;
  std::vector<std::array<int32_t, 3>> positions;
  std::vector<std::array<uint32_t, 2>> spans;
};

inline Placed place(const VisionGolden& g, const Spec& spec, const FeatureBlock& block, const std::vector<float>& rows) {
  Placed p;
  uint32_t row = 0;
  int32_t position = 0;
  for (size_t at = 0; at < g.ids.size(); ++at) {
    const auto slot = static_cast<uint32_t>(at);
    if (g.ids[at] >= 0) {
      p.tokens.push_back(g.ids[at]);
      p.features.push_back(nullptr);
      p.positions.push_back({position, position, position});
      p.spans.push_back({slot, slot + 1});
      ++position;
      continue;
    }
    const uint32_t within = row % block.rows, first = slot - within;
    const auto y = static_cast<int32_t>(within / block.width), x = static_cast<int32_t>(within % block.width);
    p.tokens.push_back(0);
    p.features.push_back(rows.data() + size_t{row} * spec.width);
    p.spans.push_back(spec.bidirectional_images ? std::array<uint32_t, 2>{first, first + block.rows}
                                                : std::array<uint32_t, 2>{slot, slot + 1});
    if (spec.grid_positions) {
      p.positions.push_back({position, position + y, position + x});
      if (within + 1 == block.rows) position += static_cast<int32_t>(std::max(block.height, block.width));
    } else {
      p.positions.push_back({position, position, position});
      ++position;
    }
    ++row;
  }
  return p;
}

// Logits of the whole sequence, decoded in chunks of cut.chunk rows that do not cut a span.
inline std::vector<float> run_vision(const VisionGolden& g, const std::vector<float>& rows, const FeatureBlock& block, const Cut& cut) {
  auto file = Gguf::open(g.text_path);
  EXPECT_TRUE(file.ok()) << file.status().message();
  const std::unique_ptr<Device> opened = cut.device != nullptr ? nullptr : open_device(cut);
  Device& device = cut.device != nullptr ? *cut.device : *opened;
  RunnerOptions options;
  options.context = 512;
  options.max_outputs = 512;
  options.kv = cut.kv;
  options.activations = cut.activations;
  options.features = true;
  auto runner = ModelRunner::load(*file, device, options, {}, {});
  EXPECT_TRUE(runner.ok()) << runner.status().message();
  if (!runner.ok()) return {};
  const Placed p = place(g, (*runner)->spec(), block, rows);
  KvCache& cache = (*runner)->cache();
  const SequenceId sequence = cache.create_sequence(options.context);
  std::vector<float> logits;
  for (size_t at = 0; at < p.tokens.size();) {
    size_t end = std::min<size_t>(at + cut.chunk, p.tokens.size());
    for (size_t i = at; i < end; ++i) end = std::max<size_t>(end, p.spans[i][1]);
    const auto count = static_cast<uint32_t>(end - at);
    auto copies = cache.reserve(sequence, count);
    EXPECT_TRUE(copies.ok()) << copies.status().message();
    StepBatch batch;
    batch.copies.assign(copies->begin(), copies->end());
    StepSequence s{sequence, std::span(p.tokens).subspan(at, count), static_cast<uint32_t>(at), count};
    s.positions = std::span(p.positions).subspan(at, count);
    s.spans = std::span(p.spans).subspan(at, count);
    s.features = std::span(p.features).subspan(at, count);
    batch.sequences.push_back(s);
    auto result = (*runner)->run(batch);
    EXPECT_TRUE(result.ok()) << result.status().message();
    if (!result.ok()) return {};
    logits.insert(logits.end(), result->logits.begin(), result->logits.end());
    EXPECT_TRUE(cache.commit(sequence, count).ok());
    at = end;
  }
  return logits;
}

}  // namespace kl
