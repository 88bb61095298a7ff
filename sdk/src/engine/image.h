// A picture on its way to being rows of a model, seen from three sides: the app opens, watches and cancels; the engine's image worker decodes and prepares; the
// scheduler encodes.
//
//   queued --> preparing --> waiting --> encoding --> finishing --> ended (ready, failed, cancelled)
//                  |  ^--- parked: another image with the same key is on its way; what it becomes, this one takes over
//                  '--> ended: the rows were known
//
// Nobody holds a queued, parked or waiting image: cancel ends it at once. In the other stages whoever holds it ends it at its next look, the scheduler within
// one slice. The first ending stays. All functions are thread-safe but those marked [w] (image worker only) and [s] (scheduler only).
#pragma once
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/generation.h"
#include "models/vision_spec.h"
#include "vision/feature_cache.h"
#include "vision/pixels.h"
#include "vision/preprocess.h"

namespace kl {

class Model;
class ImageWorker;
class Waker;
struct ModelSlot;

// What the app's threads may know of an encoder.
struct VisionFacts {
  VisionSpec spec;
  PreprocessSpec preprocess;
  std::string identity;       // for keys
  uint32_t typical_rows = 0;  // of a picture of 640 x 480
};

// Exactly one of path, bytes (when has_bytes) and pixels (when its data is not null).
struct ImageSource {
  std::string path;
  std::vector<std::byte> bytes;
  bool has_bytes = false;
  PixelView pixels;  // somebody else's: must stay until the image has left ImageState::decoding
  bool premultiplied = false;
};

struct ImageOptions {
  uint32_t max_rows = 0;
  float prune = 0;
  bool no_cache = false;
  bool unsliced = false;
};

// The numbers of kl_image_state.
enum class ImageState : int32_t { decoding = 0, waiting = 1, encoding = 2, ready = 3, failed = 4, cancelled = 5 };

struct ImageInfo {
  ImageState state = ImageState::decoding;
  FeatureTier tier = FeatureTier::none;
  Status status;
  float progress = 0;
  uint32_t width = 0, height = 0;
  uint32_t rows = 0, row_width = 0, tiles = 0;
  bool decoded = false;
  double decode_s = 0, preprocess_s = 0, wait_s = 0, encode_s = 0;
  std::string key;
};

class Image : public std::enable_shared_from_this<Image> {
 public:
  // Begins. Errors: unsupported (no projector), closed, out_of_memory (no thread).
  static Result<std::shared_ptr<Image>> open(std::shared_ptr<Model> model, ImageSource source, const ImageOptions& options);
  // One that is ready, from a hit of the cache.
  static std::shared_ptr<Image> ready(std::shared_ptr<Model> model, const FeatureHit& hit);
  ~Image();
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  ImageInfo info() const;
  ImageInfo wait(int32_t timeout_ms) const;  // until it has ended, or the time (negative: none) is over
  void cancel() noexcept;
  const std::shared_ptr<Model>& model() const { return model_; }

  ImageState state() const noexcept;
  // Failed and cancelled: why.
  Status status() const;
  // The rows; null unless ready.
  std::shared_ptr<const Features> features() const noexcept;

  // --- the worker's side
  void work() noexcept;  // [w] prepares or finishes, and passes the image on
  void end(ImageState how, Status why) noexcept;

  // --- the scheduler's side
  const std::shared_ptr<ModelSlot>& slot() const { return slot_; }
  bool unsliced() const { return options_.unsliced; }
  bool ended() const noexcept;
  bool cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }
  bool begin_encoding() noexcept;                                  // [s] false: it has ended meanwhile
  const std::vector<Picture>& tiles() const { return tiles_; }     // [s] between begin_encoding and encoded
  void encoding_went_on(float progress, double seconds) noexcept;  // [s]
  // [s] All tiles' rows. What is left (fewer rows, the cache) is done here when it is little, by the worker when it is not. May throw std::bad_alloc.
  // identity: of the encoder that made them. Rows of another than the key names (the device was lost meanwhile) are not remembered.
  void encoded(std::vector<float> values, std::vector<FeatureBlock> blocks, const std::string& identity);

 private:
  friend class ImageWorker;
  enum class Stage : uint8_t { queued, parked, preparing, waiting, encoding, finish_queued, finishing, ended };
  Image(std::shared_ptr<Model> model, ImageSource source, const ImageOptions& options);
  Status prepare();  // [w]
  Status decode();   // [w] the picture and its key; or the rows, where the file is known
  Status finish();   // [w], [s]
  Result<std::span<const std::byte>> file_bytes();
  PixelView pixels() const;          // the picture's
  bool finish_due() const noexcept;  // for the worker's queue
  void end_as(ImageState how, Status why, bool only_when_free) noexcept;
  bool move_on(Stage to) noexcept;  // false: cancelled or ended
  void become_ready(const FeatureHit& hit);

  const std::shared_ptr<Model> model_;  // first: the engine and its feature cache outlive everything below
  const std::shared_ptr<ModelSlot> slot_;
  const std::shared_ptr<Waker> waker_;
  const std::shared_ptr<ImageWorker> worker_;
  const std::shared_ptr<FeatureCache> cache_;
  const std::shared_ptr<const VisionFacts> facts_;
  const ImageOptions options_;
  std::atomic<bool> cancelled_ = false;

  // Whose hands the image is in may touch these; nobody else.
  ImageSource source_;
  std::optional<Picture> picture_;
  std::optional<FeatureKey> source_key_, key_;
  FeatureClaim claim_;
  std::vector<Picture> tiles_;
  uint32_t grid_rows_ = 0, grid_columns_ = 0;
  Features features_in_work_;
  Clock::time_point waiting_since_;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  Stage stage_ = Stage::queued;
  ImageInfo info_;
  std::shared_ptr<const Features> features_;

  std::shared_ptr<Image> next_in_queue_;  // the worker's queue: linked, so that queueing allocates nothing
};

// The thread that decodes and prepares pictures, one after the other. Starts with the first image; thread-safe.
class ImageWorker {
 public:
  ~ImageWorker();
  // The image's work() is called on the thread; finishing comes before preparing. Errors, and then the image is not queued: closed, out_of_memory (no thread).
  Status enqueue(const std::shared_ptr<Image>& image) noexcept;
  // The same; the image fails with the error.
  void enqueue_or_end(const std::shared_ptr<Image>& image) noexcept;
  // Joins; queued images fail as closed, and so does what is enqueued afterwards.
  void shutdown() noexcept;

 private:
  void run() noexcept;
  struct Queue {
    std::shared_ptr<Image> first;
    Image* last = nullptr;
    void push(std::shared_ptr<Image> image) noexcept;
    std::shared_ptr<Image> pop() noexcept;
  };
  std::mutex mutex_;
  std::condition_variable arrived_;
  Queue finishing_, preparing_;
  std::thread thread_;
  bool stopping_ = false;
};

}  // namespace kl
