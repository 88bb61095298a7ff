#include "vision/decode.h"

#include <cstring>
#include <string_view>

#include "vision/codec.h"
#include "vision/lines.h"

namespace kl {
namespace {

struct Codec {
  ImageFormat format;
  const char* name;
  bool (*begins)(std::string_view file);
  Result<ImageHeader> (*probe)(std::span<const std::byte> file);
  Result<Picture> (*decode)(std::span<const std::byte> file, const DecodeLimits& limits);
};

#ifdef KL_VISION
constexpr Codec kCodecs[] = {
    {ImageFormat::jpeg, "JPEG", [](std::string_view f) { return f.starts_with("\xff\xd8\xff"); }, probe_jpeg, decode_jpeg},
    {ImageFormat::png, "PNG", [](std::string_view f) { return f.starts_with("\x89PNG\r\n\x1a\n"); }, probe_png, decode_png},
    {ImageFormat::webp, "WebP", [](std::string_view f) { return f.starts_with("RIFF") && f.size() >= 12 && f.substr(8, 4) == "WEBP"; },
     probe_webp, decode_webp},
    {ImageFormat::bmp, "BMP", [](std::string_view f) { return f.starts_with("BM"); }, probe_bmp, decode_bmp},
};
#endif

Result<const Codec*> codec_of(std::span<const std::byte> file) {
#ifdef KL_VISION
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  for (const Codec& codec : kCodecs) {
    if (codec.begins(text)) return &codec;
  }
  return error(Code::unsupported, "expected a JPEG, PNG, WebP or BMP file, got %s bytes that begin like none of them",
               with_commas(file.size()).c_str());
#else
  (void)file;
  return error(Code::unsupported, "this build cannot read pictures (it was configured with KINGLET_VISION=OFF)");
#endif
}

}  // namespace

const char* image_format_name(ImageFormat format) {
  constexpr const char* kNames[] = {"JPEG", "PNG", "WebP", "BMP"};
  return kNames[static_cast<size_t>(format)];
}

Status check_limits(uint32_t width, uint32_t height, uint64_t working_bytes, const DecodeLimits& limits) {
  const uint64_t pixels = uint64_t{width} * height;
  if (width > limits.max_side || height > limits.max_side || pixels > limits.max_pixels)
    return error(Code::out_of_memory, "the picture is %u x %u pixels; at most %u along a side and %s in all are allowed", width, height,
                 limits.max_side, with_commas(limits.max_pixels).c_str());
  // pixels * 3 cannot wrap: pixels < 2^64 / 3 whenever both sides are below 2^31; a larger one is over any side we let through.
  const uint64_t picture = pixels > UINT64_MAX / 3 ? UINT64_MAX : 3 * pixels;
  const uint64_t room = picture > limits.max_bytes ? 0 : limits.max_bytes - picture;
  if (picture > limits.max_bytes || working_bytes > room)
    return error(Code::out_of_memory, "decoding %u x %u pixels takes %s bytes and %s more for the work; %s are allowed", width, height,
                 with_commas(picture).c_str(), with_commas(working_bytes).c_str(), with_commas(limits.max_bytes).c_str());
  return {};
}

Result<ImageHeader> probe_image(std::span<const std::byte> file) {
  KL_ASSIGN(const Codec* codec, codec_of(file));
  return codec->probe(file);
}

Result<Picture> decode_image(std::span<const std::byte> file, const DecodeLimits& limits) {
  KL_ASSIGN(const Codec* codec, codec_of(file));
  return codec->decode(file, limits);
}

Result<Picture> from_view(const PixelView& view, bool premultiplied, const DecodeLimits& limits) {
  KL_TRY(check_view(view));
  KL_TRY(check_limits(view.width, view.height, 0, limits));
  Picture picture{view.width, view.height, {}};
  const size_t line = size_t{3} * view.width;
  picture.rgb.resize(line * view.height);
  for (uint32_t y = 0; y < view.height; ++y)
    rgb_line(view.data + size_t{y} * view.stride, view.width, view.format, premultiplied, picture.rgb.data() + y * line);
  return picture;
}

}  // namespace kl
