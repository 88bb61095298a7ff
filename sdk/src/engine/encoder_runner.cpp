#include "engine/encoder_runner.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "backend/transfer.h"
#include "core/checked.h"
#include "core/hash.h"
#include "models/vision_family.h"
#include "models/vision_rows.h"
#include "plan/plan.h"
#include "weights/weight_store.h"

namespace kl {
namespace {

constexpr uint32_t kMaxPatches = 1u << 16;
constexpr uint64_t kMaxPixelBytes = 1u << 31;
constexpr std::chrono::milliseconds kSegmentTimeout{60000};

// Everything about an encoder that follows from its header and the options.
struct Blueprint {
  Encoder encoder;
  PreprocessSpec preprocess;
  uint32_t max_patches = 0;  // of one tile
  Program program;
  Plan plan;
  MemoryEstimate memory;
};

PreprocessSpec preprocess_spec(const VisionSpec& s, uint32_t max_patches) {
  static constexpr Processor kProcessors[] = {Processor::stretch,     Processor::crop,       Processor::pad,
                                              Processor::split_tiles, Processor::whole_tile, Processor::dynamic};
  static constexpr Filter kFilters[] = {Filter::bilinear, Filter::bicubic, Filter::lanczos};
  PreprocessSpec p;
  p.processor = kProcessors[static_cast<size_t>(s.rule)];
  p.filter = kFilters[static_cast<size_t>(s.filter)];
  p.image_size = s.image_size;
  p.patch = s.patch;
  p.merge = s.merge;
  p.longest_edge = s.longest_edge;
  p.min_pixels = s.min_pixels;
  p.max_pixels = std::min<uint64_t>(s.max_pixels, uint64_t{max_patches} * s.patch * s.patch);
  std::copy_n(s.mean, 3, p.mean);
  std::copy_n(s.deviation, 3, p.deviation);
  return p;
}

// The most patches of a tile: all of a tile of fixed size; of an encoder that takes any size what the app allows, in whole squares.
Result<uint32_t> patch_limit(const VisionSpec& s, const EncoderOptions& options) {
  if (s.image_size > 0) {
    const uint64_t all = uint64_t{grid_side(s)} * grid_side(s);
    if (all <= kMaxPatches) return static_cast<uint32_t>(all);
    return error(Code::unsupported, "tiles of %llu patches; the limit is %u", static_cast<unsigned long long>(all), kMaxPatches);
  }
  const uint64_t fewest = ceil_div(s.min_pixels, uint64_t{s.patch} * s.patch), each = uint64_t{s.merge} * s.merge;
  if (options.max_patches < std::max(fewest, each) || options.max_patches > kMaxPatches) {
    return error(Code::invalid_argument, "max_patches must be %llu (the encoder's smallest picture) to %u but is %u",
                 static_cast<unsigned long long>(std::max(fewest, each)), kMaxPatches, options.max_patches);
  }
  return static_cast<uint32_t>(options.max_patches / each * each);
}

Result<Blueprint> draw(const Gguf& file, const Device& device, const EncoderOptions& options) {
  const TensorLookup find = lookup_in(file);
  Blueprint b;
  KL_ASSIGN(b.encoder, read_encoder(file.metadata(), find));
  KL_ASSIGN(b.program, describe(b.encoder, find));
  const VisionSpec& s = b.encoder.spec;
  KL_ASSIGN(b.max_patches, patch_limit(s, options));
  b.preprocess = preprocess_spec(s, b.max_patches);
  const uint64_t pixel_bytes = 3 * (s.image_size > 0 ? uint64_t{s.image_size} * s.image_size : uint64_t{b.max_patches} * s.patch * s.patch);
  if (pixel_bytes > kMaxPixelBytes) {
    return error(Code::unsupported, "tiles of %s bytes; the limit is %s", with_commas(pixel_bytes).c_str(),
                 with_commas(kMaxPixelBytes).c_str());
  }

  // One plan, for the largest tile: its arena must be there anyway, and a step's own number of rows is read on the device.
  RunConfig c;
  c.activations = options.activations.value_or(device.preferred_activations());
  c.rows = b.max_patches + (s.class_token ? 1 : 0);
  c.limits.rows = c.rows;
  c.limits.segmentations = segmentations(s);
  c.limits.pixel_bytes = static_cast<uint32_t>(pixel_bytes);
  KL_ASSIGN(b.plan, make_plan(b.program, device, c));
  KL_ASSIGN(b.memory.weights, WeightStore::packed_bytes(b.plan.program, b.plan.weights, device));
  b.memory.largest_tensor = WeightStore::largest_source(b.plan.program, b.plan.weights);
  b.memory.weights_mapped = WeightStore::mapped_bytes(b.plan.program, b.plan.weights, device);
  b.memory.workspace = b.plan.arena_bytes + StepParams::bytes(c.limits) + pixel_bytes;
  return b;
}

// Every byte of every tensor: encoders may share a header (one trained further from the other) and differ in a few values. The hash runs at memory speed.
Result<std::string> identity_of(const Gguf& file, const Device& device, ActivationFormat activations) {
  uint64_t tensors = 0;
  for (const TensorInfo& tensor : file.tensors()) {
    KL_ASSIGN(const std::span<const std::byte> data, file.data(tensor));
    tensors = hash64(data, tensors);
  }
  return format("encoder 2 header %s tensors %016llx backend %s activations %s", file.header_digest().c_str(),
                static_cast<unsigned long long>(tensors), device.info().backend.c_str(), name(activations));
}

class Runner final : public EncoderRunner {
 public:
  Runner(Device& device, Blueprint blueprint) : device_(device), b_(std::move(blueprint)) {}

  Status start(const std::shared_ptr<const Gguf>& file, const EncoderOptions& options, const LoadProgress& progress, const LogSink& log) {
    const RunConfig& c = b_.plan.config;
    KL_ASSIGN(identity_, identity_of(*file, device_, c.activations));
    KL_ASSIGN(weights_, WeightStore::load(file, b_.plan.program, b_.plan.weights, device_, {options.pack_cache_dir, progress, log}));
    KL_ASSIGN(arena_, device_.allocate(b_.plan.arena_bytes, MemoryUse::arena));
    KL_ASSIGN(step_params_, device_.allocate(StepParams::bytes(c.limits), MemoryUse::step_params));
    KL_ASSIGN(pixels_, device_.allocate(c.limits.pixel_bytes, MemoryUse::pixels));
    Bindings bindings;
    bindings.arena = arena_.get();
    bindings.step_params = step_params_.get();
    bindings.pixels = pixels_.get();
    bindings.weight = [this](const WeightUse& use) { return weights_->address(use); };
    KL_ASSIGN(recording_, device_.record(b_.plan, bindings));
    return {};
  }

  const VisionSpec& spec() const override { return b_.encoder.spec; }
  const PreprocessSpec& preprocess() const override { return b_.preprocess; }
  const MemoryEstimate& memory() const override { return b_.memory; }
  const std::string& identity() const override { return identity_; }

  Result<FeatureBlock> block(uint32_t width, uint32_t height) const override {
    KL_ASSIGN(const auto grid, result_grid(spec(), width, height, b_.max_patches));
    return FeatureBlock{grid[0] * grid[1], grid[0], grid[1]};
  }

  Status begin(const Picture& tile) override {
    drop();
    KL_ASSIGN(TileRows rows, tile_rows(spec(), tile.width, tile.height, b_.max_patches));
    const size_t bytes = size_t{3} * tile.width * tile.height;
    if (tile.rgb.size() != bytes) {
      return error(Code::invalid_argument, "a tile of %u x %u pixels with %zu bytes, expected %zu", tile.width, tile.height,
                   tile.rgb.size(), bytes);
    }
    KL_TRY(device_.copy({.to = pixels_.get(),
                         .to_offset = 0,
                         .from = nullptr,
                         .from_host = reinterpret_cast<const std::byte*>(tile.rgb.data()),
                         .from_offset = 0,
                         .bytes = bytes}));
    fill(rows, 3 * tile.width);
    results_ = std::move(rows.result_rows);
    return {};
  }

  uint32_t segments() const override { return results_.empty() ? 0 : recording_->segments(); }
  uint32_t segments_done() const override { return done_; }

  Result<bool> advance(uint32_t max_segments, const std::function<bool()>& cancelled) override {
    if (results_.empty()) return error(Code::invalid_argument, "no tile to encode");
    Result<bool> ended = run(max_segments, cancelled);
    if (!ended.ok()) drop();
    return ended;
  }

  Status take(std::vector<float>& out) override {
    if (results_.empty() || done_ != recording_->segments()) return error(Code::invalid_argument, "no tile has been encoded to its end");
    const size_t width = spec().feature_width;
    const Value features = b_.plan.program.features;
    const uint64_t offset = b_.plan.value_offset[features.id];
    std::vector<float> copied;  // where the host cannot address the arena
    if (arena_->host() == nullptr) {
      copied.resize(b_.plan.value_bytes(features) / sizeof(float));
      KL_TRY(read_memory(device_, *arena_, offset, std::as_writable_bytes(std::span(copied))));
    }
    const float* rows = arena_->host() != nullptr ? reinterpret_cast<const float*>(arena_->host() + offset) : copied.data();
    const size_t before = out.size();
    out.reserve(before + results_.size() * width);
    bool finite = true;
    for (const uint32_t row : results_) {
      const std::span<const float> values(rows + row * width, width);
      finite = finite && std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
      out.insert(out.end(), values.begin(), values.end());
    }
    drop();
    if (finite) return {};
    out.resize(before);
    return error(Code::internal, "the encoder's output is not finite: damaged weights, or a number format too narrow for them");
  }

  void drop() override {
    results_.clear();
    done_ = 0;
  }

  ModelRunner::Cost cost(uint32_t width, uint32_t height) const override {
    const Result<TileRows> rows = tile_rows(spec(), width, height, b_.max_patches);
    if (!rows.ok()) return {};
    const uint64_t count = rows->rows(), whole = count * count;
    uint64_t within_windows = 0;
    for (const auto& [first, end] : rows->windows) within_windows += end - first;
    ModelRunner::Cost sum;
    for (const Op& op : b_.program.ops) {
      const auto* attention = std::get_if<DenseAttention>(&op);
      const bool windows = attention != nullptr && attention->segmentation == kWindows;
      const OpCost c = kl::cost(b_.program, op, count, count, windows ? within_windows : whole);
      sum.bytes += c.weight_bytes;
      sum.macs += c.macs;
    }
    return sum;
  }

  std::string program_text() const override { return to_text(b_.program); }
  std::string plan_text() const override { return to_text(b_.plan); }
  std::string support_text() const override { return kl::support_text(b_.plan); }

 private:
  StepParams params() const { return {step_params_->host(), b_.plan.config.limits}; }

  void fill(const TileRows& rows, uint32_t stride) {
    const StepParams p = params();
    p.header() = {rows.rows(), 0, 0, stride};
    std::copy(rows.tokens.begin(), rows.tokens.end(), p.tokens());
    std::copy(rows.pixels.begin(), rows.pixels.end(), p.row_pixel());
    for (size_t t = 0; t < rows.rows(); ++t) std::copy(rows.positions[t].begin(), rows.positions[t].end(), p.positions() + 3 * t);
    const auto ranges = [&](uint32_t segmentation, const std::vector<std::array<uint32_t, 2>>& of) {
      for (size_t t = 0; t < of.size(); ++t) std::copy(of[t].begin(), of[t].end(), p.row_range(segmentation) + 2 * t);
    };
    ranges(kWholeTile, rows.whole);
    if (!rows.windows.empty()) ranges(kWindows, rows.windows);
  }

  // True: all segments have run.
  Result<bool> run(uint32_t max_segments, const std::function<bool()>& cancelled) {
    const uint32_t all = recording_->segments(), end = static_cast<uint32_t>(std::min<uint64_t>(all, uint64_t{done_} + max_segments));
    for (; done_ < end; ++done_) {
      if (cancelled && cancelled()) return error(Code::cancelled, "the encoding was cancelled");
      KL_ASSIGN(const Ticket ticket, device_.submit(*recording_, done_, done_ + 1));
      KL_TRY(device_.wait(ticket, kSegmentTimeout));
    }
    return done_ == all;
  }

  Device& device_;
  Blueprint b_;
  std::string identity_;
  std::unique_ptr<WeightStore> weights_;
  std::unique_ptr<Memory> arena_, step_params_, pixels_;
  std::unique_ptr<Recording> recording_;
  std::vector<uint32_t> results_;  // of the tile at hand: result rows in prompt order; empty: none
  uint32_t done_ = 0;              // segments
};

}  // namespace

Result<MemoryEstimate> EncoderRunner::estimate(const Gguf& file, Device& device, const EncoderOptions& options) {
  KL_ASSIGN(const Blueprint b, draw(file, device, options));
  return b.memory;
}

Result<std::unique_ptr<EncoderRunner>> EncoderRunner::load(const std::shared_ptr<const Gguf>& file, Device& device,
                                                           const EncoderOptions& options, const LoadProgress& progress,
                                                           const LogSink& log) {
  KL_ASSIGN(Blueprint b, draw(*file, device, options));
  const MemoryEstimate& m = b.memory;
  if (options.memory_budget != 0 && m.total() > options.memory_budget) {
    return error(Code::out_of_memory, "the encoder needs %s bytes (weights %s, workspace %s for tiles of %u patches) but the budget is %s",
                 with_commas(m.total()).c_str(), with_commas(m.weights).c_str(), with_commas(m.workspace).c_str(), b.max_patches,
                 with_commas(options.memory_budget).c_str());
  }
  auto runner = std::make_unique<Runner>(device, std::move(b));
  KL_TRY(runner->start(file, options, progress, log));
  return std::unique_ptr<EncoderRunner>(std::move(runner));
}

}  // namespace kl
