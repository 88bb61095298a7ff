// kinglet::Image: a picture that is decoded and encoded in the background. Include <kinglet/kinglet.hpp>.
#ifndef KINGLET_IMAGE_HPP
#define KINGLET_IMAGE_HPP

#include <kinglet/expected.hpp>

#include <cstdint>
#include <future>
#include <vector>

namespace kinglet {

struct ImageOptions {
  uint32_t max_rows = 0;  // visual tokens, at most; 0: the model's own
  float prune = 0;        // fraction of rows to leave out
  bool cache = true;      // false: neither looked up in the feature cache nor remembered
  bool unsliced = false;  // encoded in one go
};

// Bare pixels, a camera frame say. Not copied: must stay until the image has left KL_IMAGE_DECODING.
struct Pixels {
  const void* data = nullptr;
  uint32_t width = 0, height = 0;
  size_t stride = 0;  // bytes from line to line; 0: lines without gaps
  kl_pixel_format format = KL_PIXELS_RGB8;
  bool premultiplied = false;
};

// Made by Model::image. May be let go of as soon as it was sent; work on it goes on until it is ready or cancelled.
class Image {
 public:
  explicit Image(kl_image* handle) : handle_(handle) {}
  kl_image* get() const { return handle_.get(); }

  kl_image_info info() const {
    auto info = detail::sized<kl_image_info>();
    (void)kl_image_get_info(get(), &info);
    return info;
  }
  // Blocks until the rows are there. Errors: what is wrong with the picture; KL_CANCELLED; KL_BUSY when timeout_ms (negative: none) is over.
  Expected<kl_image_info> wait(int32_t timeout_ms = -1) const { return wait_for(get(), timeout_ms); }
  // The same on a thread of its own. The image must be there until then; letting go of the future waits as well.
  std::future<Expected<kl_image_info>> future() const {
    return std::async(std::launch::async, [handle = get()] { return wait_for(handle, -1); });
  }
  // [rows row_width], as info() says. Error KL_BUSY: not ready.
  Expected<std::vector<float>> rows() const {
    const kl_image_info about = info();
    std::vector<float> out(size_t{about.rows} * about.row_width + 1);
    if (const kl_status status = kl_image_rows(get(), out.data(), out.size()); status != KL_OK) return Error::last(status);
    out.resize(out.size() - 1);
    return out;
  }
  void cancel() const { (void)kl_image_cancel(get()); }

 private:
  static Expected<kl_image_info> wait_for(kl_image* handle, int32_t timeout_ms) {
    auto info = detail::sized<kl_image_info>();
    if (const kl_status status = kl_image_wait(handle, timeout_ms, &info); status != KL_OK) return Error::last(status);
    if (info.state == KL_IMAGE_FAILED) return Error::last(info.status);
    if (info.state == KL_IMAGE_CANCELLED) return Error{KL_CANCELLED, "the image was cancelled"};
    if (info.state != KL_IMAGE_READY) return Error{KL_BUSY, "the image is not ready yet"};
    return info;
  }
  detail::Handle<kl_image, kl_image_destroy> handle_;
};

}  // namespace kinglet

#endif
