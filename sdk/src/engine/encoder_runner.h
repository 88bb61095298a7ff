// One encoder on one device: weights in place, one plan and recording for tiles of every size, one tile at a time, encoded in slices.
// Decides nothing. Not thread-safe: the scheduler thread owns it.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/device.h"
#include "core/log.h"
#include "core/status.h"
#include "engine/model_runner.h"
#include "models/vision_spec.h"
#include "vision/features.h"
#include "vision/pixels.h"
#include "vision/preprocess.h"
#include "weights/gguf.h"

namespace kl {

struct EncoderOptions {
  uint32_t max_patches = 4096;                  // of one tile; matters for encoders that take any size
  std::optional<ActivationFormat> activations;  // empty: the backend's own choice
  uint64_t memory_budget = 0;                   // bytes; 0: no limit
  std::string pack_cache_dir;                   // empty: no pack cache
};

class EncoderRunner {
 public:
  // From the header only: no tensor is read. `kv` of the estimate is 0; `workspace` includes pixels.
  static Result<MemoryEstimate> estimate(const Gguf& file, Device& device, const EncoderOptions& options);
  // Errors: unsupported (no projector file, an unknown projector), corrupt, out_of_memory (over the budget, with the sizes), cancelled.
  static Result<std::unique_ptr<EncoderRunner>> load(const std::shared_ptr<const Gguf>& file, Device& device, const EncoderOptions& options,
                                                     const LoadProgress& progress, const LogSink& log);
  virtual ~EncoderRunner() = default;

  virtual const VisionSpec& spec() const = 0;
  // How pictures are to be prepared; max_pixels is already held to max_patches.
  virtual const PreprocessSpec& preprocess() const = 0;
  virtual const MemoryEstimate& memory() const = 0;  // the estimate that was held to
  // What a result row depends on besides the picture: the file's header and tensor table, every byte of every tensor, sizes, backend,
  // activation format. Bytes for a feature key; the same for a copy of the file elsewhere.
  virtual const std::string& identity() const = 0;

  // The block that encoding a tile of this size gives. Errors: invalid_argument (not a multiple of patch x merge, more than max_patches).
  virtual Result<FeatureBlock> block(uint32_t width, uint32_t height) const = 0;

  // Takes up a tile: its pixels are copied, What was being encoded is dropped. Errors: as block(), and the device's.
  virtual Status begin(const Picture& tile) = 0;
  // Segments of the tile taken up, and how many of them have run; 0, 0: none is.
  virtual uint32_t segments() const = 0;
  virtual uint32_t segments_done() const = 0;
  // Runs up to max_segments more (at least one op each, of similar cost) and waits for them; `cancelled` may be empty, is asked before
  // each, and ends the tile with Code::cancelled. True: the rows are ready. On error the tile is dropped. Errors: cancelled, device_lost,
  // invalid_argument (no tile).
  virtual Result<bool> advance(uint32_t max_segments, const std::function<bool()>& cancelled) = 0;
  // The finished tile's rows in prompt order (by lines of the grid), [rows feature_width] appended to `out`. The tile is done with. Errors:
  // invalid_argument (no finished tile), internal (values that are not finite).
  virtual Status take(std::vector<float>& out) = 0;
  // Drops the tile being encoded, if any.
  virtual void drop() = 0;

  // What encoding a tile of this size reads and computes; {} where block() is an error.
  virtual ModelRunner::Cost cost(uint32_t width, uint32_t height) const = 0;

  // Texts for people: the Program, the Plan, the support report.
  virtual std::string program_text() const = 0;
  virtual std::string plan_text() const = 0;
  virtual std::string support_text() const = 0;
};

}  // namespace kl
