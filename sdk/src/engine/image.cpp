#include "engine/image.h"

#include "core/file.h"
#include "engine/model.h"
#include "vision/decode.h"
#include "vision/feature_key.h"
#include "vision/reduce_rows.h"

namespace kl {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;
constexpr uint64_t kMaxTileBytes = uint64_t{1} << 30;  // of one prepared picture

}  // namespace

Image::Image(std::shared_ptr<Model> model, ImageSource source, const ImageOptions& options)
    : model_(std::move(model)),
      slot_(model_->eyes().value()),  // whoever has a projector has it
      waker_(model_->engine().scheduler().waker()),
      worker_(model_->engine().image_worker()),
      cache_(model_->engine().feature_cache()),
      facts_(model_->vision()),
      options_(options),
      source_(std::move(source)) {
  info_.row_width = facts_->spec.feature_width;
}

Image::~Image() = default;

Result<std::shared_ptr<Image>> Image::open(std::shared_ptr<Model> model, ImageSource source, const ImageOptions& options) {
  KL_TRY(model->eyes().status());
  if (!model->vision()) {
    return error(Code::unsupported, "%s was loaded without a projector: it takes no pictures", model->file().name().c_str());
  }
  std::shared_ptr<Image> image(new Image(std::move(model), std::move(source), options));
  KL_TRY(image->worker_->enqueue(image));
  return image;
}

std::shared_ptr<Image> Image::ready(std::shared_ptr<Model> model, const FeatureHit& hit) {
  std::shared_ptr<Image> image(new Image(std::move(model), {}, {}));
  image->key_ = hit.features->key;
  image->become_ready(hit);
  return image;
}

ImageInfo Image::info() const {
  const std::lock_guard lock(mutex_);
  return info_;
}

ImageInfo Image::wait(int32_t timeout_ms) const {
  std::unique_lock lock(mutex_);
  const auto over = [&] { return stage_ == Stage::ended; };
  if (timeout_ms < 0) {
    changed_.wait(lock, over);
  } else {
    (void)changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), over);
  }
  return info_;
}

ImageState Image::state() const noexcept {
  const std::lock_guard lock(mutex_);
  return info_.state;
}

Status Image::status() const {
  const std::lock_guard lock(mutex_);
  return info_.status;
}

std::shared_ptr<const Features> Image::features() const noexcept {
  const std::lock_guard lock(mutex_);
  return features_;
}

bool Image::ended() const noexcept {
  const std::lock_guard lock(mutex_);
  return stage_ == Stage::ended;
}

void Image::cancel() noexcept {
  cancelled_.store(true, std::memory_order_relaxed);
  end_as(ImageState::cancelled, Status(Code::cancelled, {}), true);
  waker_->wake();  // the scheduler may hold it
}

void Image::end(ImageState how, Status why) noexcept { end_as(how, std::move(why), false); }

// Whoever ends the image first decides how. What it held is freed without the lock: letting go of a claim calls others.
void Image::end_as(ImageState how, Status why, bool only_when_free) noexcept {
  FeatureClaim claim;
  std::vector<Picture> tiles;
  std::optional<Picture> picture;
  std::vector<std::byte> bytes;
  Features features;
  {
    const std::lock_guard lock(mutex_);
    if (stage_ == Stage::ended) return;
    const bool held = stage_ == Stage::preparing || stage_ == Stage::encoding || stage_ == Stage::finishing;
    if (only_when_free && held) return;
    stage_ = Stage::ended;
    info_.state = how;
    info_.status = std::move(why);
    claim = std::move(claim_);
    tiles.swap(tiles_);
    picture.swap(picture_);
    bytes.swap(source_.bytes);
    std::swap(features, features_in_work_);
    changed_.notify_all();
  }
  waker_->wake();
}

void Image::become_ready(const FeatureHit& hit) {
  std::string key = hit.features->key.hex();
  {
    const std::lock_guard lock(mutex_);
    if (stage_ == Stage::ended) return;
    info_.key = std::move(key);
    features_ = hit.features;
    info_.tier = hit.tier;
    info_.progress = 1;
    info_.width = hit.features->picture_width;
    info_.height = hit.features->picture_height;
    info_.rows = hit.features->rows;
    info_.row_width = hit.features->width;
    info_.tiles = static_cast<uint32_t>(hit.features->blocks.size());
  }
  end(ImageState::ready, {});
}

bool Image::finish_due() const noexcept {
  const std::lock_guard lock(mutex_);
  return stage_ == Stage::finish_queued;
}

// Into the next stage, unless the image has ended or was cancelled.
bool Image::move_on(Stage to) noexcept {
  const std::lock_guard lock(mutex_);
  if (stage_ == Stage::ended || cancelled()) return false;
  stage_ = to;
  if (to == Stage::parked || to == Stage::waiting) info_.state = ImageState::waiting;
  if (to == Stage::encoding) info_.state = ImageState::encoding;
  return true;
}

void Image::work() noexcept {
  Stage due{};
  {
    const std::lock_guard lock(mutex_);
    due = stage_;
    if (due == Stage::ended) return;
    stage_ = due == Stage::finish_queued ? Stage::finishing : Stage::preparing;
  }
  Status status;
  try {
    status = due == Stage::finish_queued ? finish() : prepare();
  } catch (const std::bad_alloc&) {
    status = Status(Code::out_of_memory, {});
  } catch (const std::exception&) {
    status = Status(Code::internal, {});
  }
  if (status.ok()) return;
  end(status.code() == Code::cancelled && cancelled() ? ImageState::cancelled : ImageState::failed, std::move(status));
}

PixelView Image::pixels() const { return picture_ ? picture_->view() : source_.pixels; }

// The file's bytes, in memory: a decoder never reads from a file that others may cut short.
Result<std::span<const std::byte>> Image::file_bytes() {
  if (source_.has_bytes || source_.path.empty()) return std::span<const std::byte>(source_.bytes);
  KL_ASSIGN(const auto file, ByteSource::open(source_.path, ByteSource::Access::map));
  const uint64_t size = file->bytes().size();
  if (size > kMaxFileBytes) {
    return error(Code::unsupported, "%s has %s bytes; a picture of at most %s is expected", source_.path.c_str(), with_commas(size).c_str(),
                 with_commas(kMaxFileBytes).c_str());
  }
  source_.bytes.resize(size);
  KL_TRY(file->copy(0, source_.bytes));
  return std::span<const std::byte>(source_.bytes);
}

// The picture with its key; or, where the bytes of its file are known, the rows: then the image has ended.
Status Image::decode() {
  const std::string spec = facts_->preprocess.text();
  const FeatureRecipe recipe{spec, options_.max_rows, options_.prune, std::as_bytes(std::span(facts_->identity))};
  if (source_.pixels.data) {
    KL_ASSIGN(key_, feature_key(source_.pixels, source_.premultiplied, recipe));
    if (channels(source_.pixels.format) == 4) {
      KL_ASSIGN(picture_, from_view(source_.pixels, source_.premultiplied, {}));
    }
  } else {
    KL_ASSIGN(const std::span<const std::byte> file, file_bytes());
    if (!options_.no_cache) {
      KL_ASSIGN(source_key_, source_key(file, recipe));
      if (const FeatureHit hit = cache_->find_source(*source_key_)) {
        become_ready(hit);
        return {};
      }
    }
    const Clock::time_point began = Clock::now();
    auto decoded = decode_image(file, {});
    if (!decoded.ok()) return source_.path.empty() ? decoded.status() : decoded.status().at(source_.path);
    picture_ = std::move(*decoded);
    KL_ASSIGN(key_, feature_key(picture_->view(), false, recipe));
    source_.bytes = {};
    const std::lock_guard lock(mutex_);
    info_.decoded = true;
    info_.decode_s = seconds_between(began, Clock::now());
  }
  const std::string hex = key_->hex();
  const PixelView view = pixels();
  const std::lock_guard lock(mutex_);
  info_.key = hex;
  info_.width = view.width;
  info_.height = view.height;
  return {};
}

Status Image::prepare() {
  if (!key_) KL_TRY(decode());
  if (ended()) return {};
  if (!options_.no_cache) {
    FeatureBegin begun = cache_->begin(*key_, [weak = weak_from_this(), worker = worker_] {
      if (const auto image = weak.lock()) worker->enqueue_or_end(image);
    });
    if (begun.hit) {
      if (source_key_) cache_->remember(*source_key_, *key_);
      become_ready(begun.hit);
      return {};
    }
    if (begun.in_flight) {
      if (!picture_) {  // the app may reuse its pixels when the image is no longer decoding
        KL_ASSIGN(picture_, from_view(source_.pixels, source_.premultiplied, {}));
      }
      return move_on(Stage::parked) ? Status() : Status(Code::cancelled, {});
    }
    claim_ = std::move(begun.claim);
  }
  const Clock::time_point began = Clock::now();
  const PixelView view = pixels();
  const PreprocessSpec spec = limit_rows(facts_->preprocess, view.width, view.height, options_.max_rows);
  KL_ASSIGN(Prepared prepared, preprocess(view, spec, kMaxTileBytes));
  KL_ASSIGN(const uint32_t rows, rows_for(view.width, view.height, spec));
  picture_.reset();
  tiles_ = std::move(prepared.tiles);
  features_in_work_.key = *key_;
  features_in_work_.width = facts_->spec.feature_width;
  features_in_work_.grid_rows = prepared.grid_rows;
  features_in_work_.grid_columns = prepared.grid_columns;
  features_in_work_.picture_width = view.width;
  features_in_work_.picture_height = view.height;
  waiting_since_ = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    info_.preprocess_s = seconds_between(began, waiting_since_);
    info_.tiles = static_cast<uint32_t>(tiles_.size());
    if (options_.prune == 0 && (options_.max_rows == 0 || rows <= options_.max_rows)) info_.rows = rows;
  }
  // From here on the image is the scheduler's: nothing of it may be touched.
  if (!move_on(Stage::waiting)) return Status(Code::cancelled, {});
  return model_->engine().scheduler().encode(shared_from_this());
}

bool Image::begin_encoding() noexcept {
  if (state() == ImageState::encoding) return !cancelled() && !ended();  // again, on another device
  if (!move_on(Stage::encoding)) return false;
  const std::lock_guard lock(mutex_);
  info_.wait_s = seconds_between(waiting_since_, Clock::now());
  return true;
}

void Image::encoding_went_on(float progress, double seconds) noexcept {
  const std::lock_guard lock(mutex_);
  info_.progress = progress;
  info_.encode_s += seconds;
}

void Image::encoded(std::vector<float> values, std::vector<FeatureBlock> blocks, const std::string& identity) {
  if (identity != facts_->identity) claim_ = {};
  Features& f = features_in_work_;
  f.rows = 0;
  for (const FeatureBlock& block : blocks) f.rows += block.rows;
  f.values = std::move(values);
  f.blocks = std::move(blocks);
  tiles_ = {};
  const bool reduce = options_.prune > 0 || (options_.max_rows > 0 && f.rows > options_.max_rows);
  if (!move_on(reduce ? Stage::finish_queued : Stage::finishing)) return end(ImageState::cancelled, Status(Code::cancelled, {}));
  if (reduce) return worker_->enqueue_or_end(shared_from_this());
  if (Status status = finish(); !status.ok()) end(ImageState::failed, std::move(status));
}

Status Image::finish() {
  Features f = std::move(features_in_work_);
  if (options_.max_rows > 0 && f.rows > options_.max_rows) {
    KL_ASSIGN(f, pool_rows(std::move(f), options_.max_rows));
  }
  if (options_.prune > 0) {
    KL_ASSIGN(f, prune_rows(std::move(f), options_.prune));
  }
  if (cancelled()) return Status(Code::cancelled, {});
  if (!claim_) {
    become_ready({.features = std::make_shared<const Features>(std::move(f)), .device = {}, .tier = FeatureTier::none});
    return {};
  }
  FeatureHit hit = claim_.publish(std::move(f));
  hit.tier = FeatureTier::none;  // it was encoded
  if (source_key_) cache_->remember(*source_key_, *key_);
  become_ready(hit);
  return {};
}

void ImageWorker::Queue::push(std::shared_ptr<Image> image) noexcept {
  Image* const raw = image.get();
  (first ? last->next_in_queue_ : first) = std::move(image);
  last = raw;
}

std::shared_ptr<Image> ImageWorker::Queue::pop() noexcept {
  std::shared_ptr<Image> image = std::move(first);
  if (image) first = std::move(image->next_in_queue_);
  return image;
}

ImageWorker::~ImageWorker() { shutdown(); }

Status ImageWorker::enqueue(const std::shared_ptr<Image>& image) noexcept {
  const bool finishing = image->finish_due();
  const std::lock_guard lock(mutex_);
  if (stopping_) return Status(Code::closed, {});
  try {
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  } catch (const std::exception&) {
    return Status(Code::out_of_memory, {});
  }
  (finishing ? finishing_ : preparing_).push(image);
  arrived_.notify_one();
  return {};
}

void ImageWorker::enqueue_or_end(const std::shared_ptr<Image>& image) noexcept {
  if (Status refused = enqueue(image); !refused.ok()) image->end(ImageState::failed, std::move(refused));
}

void ImageWorker::run() noexcept {
  std::unique_lock lock(mutex_);
  for (;;) {
    arrived_.wait(lock, [&] { return stopping_ || finishing_.first || preparing_.first; });
    if (stopping_) return;
    std::shared_ptr<Image> image = finishing_.pop();
    if (!image) image = preparing_.pop();
    lock.unlock();
    image->work();
    image.reset();
    lock.lock();
  }
}

void ImageWorker::shutdown() noexcept {
  std::thread thread;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    thread.swap(thread_);
    arrived_.notify_all();
  }
  if (thread.joinable()) thread.join();
  for (;;) {  // letting go of one may enqueue another, which then ends by itself
    std::shared_ptr<Image> image;
    {
      const std::lock_guard lock(mutex_);
      image = finishing_.pop();
      if (!image) image = preparing_.pop();
    }
    if (!image) return;
    image->end(ImageState::failed, Status(Code::closed, {}));
  }
}

}  // namespace kl
