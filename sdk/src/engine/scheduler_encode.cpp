// Images on the device: the first in the queue is encoded, tile by tile, in slices between which text may have its turn.
#include <algorithm>
#include <new>

#include "engine/scheduler.h"

namespace kl {

Status Scheduler::encode(std::shared_ptr<Image> image) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return error(Code::closed, "the engine was destroyed");
    if (!lost_.ok()) return lost_;
    image_arrivals_.push_back(std::move(image));
  }
  waker_->wake();
  return {};
}

// The image whose turn it is. Those that have ended, or were cancelled between two slices, leave.
Image* Scheduler::next_encode() {
  while (!encodes_.empty()) {
    Image& image = *encodes_.front();
    if (image.cancelled()) image.end(ImageState::cancelled, Status(Code::cancelled, {}));
    if (!image.ended()) return &image;
    if (encode_.taken_up) image.slot()->encoder->drop();
    encode_ = {};
    encodes_.pop_front();
  }
  return nullptr;
}

// Goes on with the first image. Its errors end it; only a lost device is more than its own affair.
double Scheduler::encode_slice() {
  const std::shared_ptr<Image> image = encodes_.front();
  const Clock::time_point began = Clock::now();
  Status status;
  try {
    status = encode_some(began + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(kSliceSeconds)));
  } catch (const std::bad_alloc&) {
    status = Status(Code::out_of_memory, {});
  } catch (const std::exception&) {
    status = Status(Code::internal, {});
  }
  const double seconds = seconds_between(began, Clock::now());
  {
    const std::lock_guard lock(mutex_);
    stats_.encode_s += seconds;
    stats_.images_encoded += encodes_.empty() || encodes_.front() != image ? 1 : 0;
  }
  if (status.code() == Code::device_lost) {
    device_lost(status);
  } else if (!status.ok()) {
    image->end(ImageState::failed, std::move(status));
  }
  return seconds;
}

Status Scheduler::encode_some(Clock::time_point until) {
  const std::shared_ptr<Image> image = encodes_.front();
  EncoderRunner& encoder = *image->slot()->encoder;
  const Clock::time_point began = Clock::now();
  if (encode_.tile == 0 && !encode_.taken_up && !image->begin_encoding()) return {};
  const std::vector<Picture>& tiles = image->tiles();
  bool tile_done = false;
  if (!encode_.taken_up) {
    KL_TRY(encoder.begin(tiles[encode_.tile]));
    encode_.taken_up = true;
  }
  do {
    const auto done = encoder.advance(1, {});
    if (!done.ok()) encode_.taken_up = false;  // the tile was dropped
    KL_TRY(done.status());
    tile_done = *done;
  } while (!tile_done && !image->cancelled() && Clock::now() < until);
  if (tile_done) {
    encode_.taken_up = false;
    KL_ASSIGN(const FeatureBlock block, encoder.block(tiles[encode_.tile].width, tiles[encode_.tile].height));
    encode_.values.reserve(tiles.size() * block.rows * encoder.spec().feature_width);
    KL_TRY(encoder.take(encode_.values));
    const ModelRunner::Cost cost = encoder.cost(tiles[encode_.tile].width, tiles[encode_.tile].height);
    {
      const std::lock_guard lock(mutex_);
      stats_.bytes_read += cost.bytes;
      stats_.macs += cost.macs;
    }
    encode_.blocks.push_back(block);
    ++encode_.tile;
  }
  const bool image_done = encode_.tile == tiles.size();
  const double of_tile = tile_done ? 0 : static_cast<double>(encoder.segments_done()) / std::max(encoder.segments(), 1u);
  image->encoding_went_on(static_cast<float>((static_cast<double>(encode_.tile) + of_tile) / static_cast<double>(tiles.size())),
                          seconds_between(began, Clock::now()));
  if (!image_done) return {};
  auto values = std::move(encode_.values);
  auto blocks = std::move(encode_.blocks);
  encode_ = {};
  encodes_.pop_front();
  image->encoded(std::move(values), std::move(blocks), encoder.identity());
  return {};
}

void Scheduler::end_encodes(const Status& why) noexcept {
  if (encode_.taken_up) encodes_.front()->slot()->encoder->drop();
  encode_ = {};
  const auto end = [&](const std::shared_ptr<Image>& image) {
    try {
      image->end(ImageState::failed, why);
    } catch (const std::bad_alloc&) {
      image->end(ImageState::failed, Status(why.code(), {}));
    }
  };
  for (const auto& image : encodes_) end(image);
  encodes_.clear();
  std::list<std::shared_ptr<Image>> arrivals;
  {
    const std::lock_guard lock(mutex_);
    arrivals.swap(image_arrivals_);
  }
  for (const auto& image : arrivals) end(image);
}

}  // namespace kl
