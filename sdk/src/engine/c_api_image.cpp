// Pictures: sdk/include/kinglet/image.h.
#include <cmath>

#include "engine/c_api.h"

using namespace kl;
using namespace kl::c_api;

namespace {

constexpr uint32_t kMaxSide = 1u << 20;

Result<ImageSource> read_image_source(const kl_image_source* given) {
  kl_image_source s;
  KL_TRY(read_struct(given, "kl_image_source", false, s));
  if ((s.path != nullptr) + (s.data != nullptr) + (s.pixels != nullptr) != 1) {
    return error(Code::invalid_argument, "kl_image_source: exactly one of path, data and pixels was expected");
  }
  ImageSource out;
  if (s.path) {
    out.path = s.path;
    if (out.path.empty()) return error(Code::invalid_argument, "kl_image_source: the path is empty");
    return out;
  }
  if (s.data) {
    if (s.data_size == 0) return error(Code::invalid_argument, "kl_image_source: data_size is 0");
    const auto* const bytes = static_cast<const std::byte*>(s.data);
    out.bytes.assign(bytes, bytes + s.data_size);
    out.has_bytes = true;
    return out;
  }
  KL_ASSIGN(const uint32_t format, ranged("pixel_format", s.pixel_format, KL_PIXELS_RGB8, KL_PIXELS_GRAY8));
  KL_ASSIGN(out.pixels.width, ranged("width", s.width, 1, kMaxSide));
  KL_ASSIGN(out.pixels.height, ranged("height", s.height, 1, kMaxSide));
  out.pixels.format = static_cast<PixelFormat>(format);
  const size_t line = size_t{s.width} * channels(out.pixels.format);
  out.pixels.stride = s.stride == 0 ? line : s.stride;
  if (out.pixels.stride < line || out.pixels.stride > SIZE_MAX / s.height) {
    return error(Code::invalid_argument, "stride is %zu; a line of %u pixels has %zu bytes", s.stride, s.width, line);
  }
  out.pixels.data = static_cast<const std::byte*>(s.pixels);
  out.premultiplied = s.premultiplied != 0;
  return out;
}

Result<ImageOptions> read_image_options(const kl_image_options* given) {
  kl_image_options s;
  KL_TRY(read_struct(given, "kl_image_options", true, s));
  if (!(s.prune >= 0 && s.prune <= 0.9f))
    return error(Code::invalid_argument, "prune is %g; 0 to 0.9 was expected", static_cast<double>(s.prune));
  return ImageOptions{.max_rows = s.max_rows, .prune = s.prune, .no_cache = s.no_cache != 0, .unsliced = s.unsliced != 0};
}

void write_info(const ImageInfo& info, kl_image_info* out) {
  kl_image_info c{};
  c.state = static_cast<int32_t>(info.state);
  c.tier = static_cast<int32_t>(info.tier);
  c.status = static_cast<kl_status>(info.status.code());
  c.progress = info.progress;
  c.width = info.width;
  c.height = info.height;
  c.rows = info.rows;
  c.row_width = info.row_width;
  c.tiles = info.tiles;
  c.decoded = info.decoded ? 1 : 0;
  c.decode_s = info.decode_s;
  c.preprocess_s = info.preprocess_s;
  c.wait_s = info.wait_s;
  c.encode_s = info.encode_s;
  copy_cut(info.key, c.key, sizeof c.key);
  write_struct(c, out);
  if (info.state == ImageState::failed) (void)fail(info.status);
}

}  // namespace

extern "C" {

kl_status kl_image_open(kl_model* model, const kl_image_source* source, const kl_image_options* options, kl_image** image) {
  return guard([&]() -> Status {
    KL_TRY(clear(image, "image"));
    KL_ASSIGN(auto m, find<Model>(model));
    KL_ASSIGN(ImageSource from, read_image_source(source));
    KL_ASSIGN(const ImageOptions o, read_image_options(options));
    KL_ASSIGN(auto opened, Image::open(std::move(m), std::move(from), o));
    try {
      Status status = give(opened, image);
      if (!status.ok()) opened->cancel();
      return status;
    } catch (const std::bad_alloc&) {
      opened->cancel();  // nobody could ever use it
      throw;
    }
  });
}

kl_status kl_image_get_info(kl_image* image, kl_image_info* info) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto object, find<Image>(image));
    KL_TRY(check_out_struct(info, "kl_image_info"));
    write_info(object->info(), info);
    return {};
  });
}

kl_status kl_image_wait(kl_image* image, int32_t timeout_ms, kl_image_info* info) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto object, find<Image>(image));
    KL_TRY(check_out_struct(info, "kl_image_info"));
    write_info(object->wait(timeout_ms), info);
    return {};
  });
}

kl_status kl_image_rows(kl_image* image, float* out, size_t capacity) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto object, find<Image>(image));
    if (!out) return error(Code::invalid_argument, "out is null");
    const auto features = object->features();
    if (!features) {
      const ImageInfo info = object->info();
      KL_TRY(info.status);
      return error(Code::busy, "the image is not ready");
    }
    if (capacity < features->values.size()) {
      return error(Code::invalid_argument, "room for %zu values; %u rows of %u are %zu", capacity, features->rows, features->width,
                   features->values.size());
    }
    if (reinterpret_cast<uintptr_t>(out) % alignof(float) != 0) return error(Code::invalid_argument, "out is not aligned");
    std::copy(features->values.begin(), features->values.end(), out);
    return {};
  });
}

kl_status kl_image_cancel(kl_image* image) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto object, find<Image>(image));
    object->cancel();
    return {};
  });
}

kl_status kl_image_destroy(kl_image* image) {
  return guard([&]() -> Status { return take<Image>(image).status(); });
}

kl_status kl_engine_get_feature_cache_stats(kl_engine* engine, kl_feature_cache_stats* stats) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto object, find<Engine>(engine));
    KL_TRY(check_out_struct(stats, "kl_feature_cache_stats"));
    const FeatureCacheStats s = object->feature_cache()->stats();
    write_struct(
        kl_feature_cache_stats{0, s.device_bytes, s.host_bytes, s.disk_bytes, s.device_budget, s.host_budget, s.disk_budget, s.device_hits,
                               s.host_hits, s.disk_hits, s.misses, s.entries, s.evictions, s.disk_errors, s.decodes_spared},
        stats);
    return {};
  });
}

kl_status kl_engine_clear_feature_cache(kl_engine* engine) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto object, find<Engine>(engine));
    return object->feature_cache()->clear();
  });
}

}  // extern "C"
