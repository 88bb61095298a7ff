// WebP by libwebp: lossy, lossless, with alpha; of an animation, the first frame on its canvas.
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include <webp/decode.h>
#include <webp/demux.h>

#include "vision/codec.h"
#include "vision/lines.h"
#include "vision/orientation.h"

namespace kl {
namespace {

using Demuxer = std::unique_ptr<WebPDemuxer, void (*)(WebPDemuxer*)>;

Result<Demuxer> open(std::span<const std::byte> file) {
  const WebPData data{reinterpret_cast<const uint8_t*>(file.data()), file.size()};
  Demuxer demuxer(WebPDemux(&data), WebPDemuxDelete);
  if (demuxer == nullptr) return error(Code::corrupt, "the WebP file is damaged or cut off (%s bytes)", with_commas(file.size()).c_str());
  return demuxer;
}

uint8_t orientation_of(const WebPDemuxer* demuxer) {
  WebPChunkIterator chunk{};
  uint8_t orientation = 1;
  if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk) != 0)
    orientation = exif_orientation({reinterpret_cast<const std::byte*>(chunk.chunk.bytes), chunk.chunk.size});
  WebPDemuxReleaseChunkIterator(&chunk);
  return orientation;
}

struct Frame {
  WebPIterator at{};
  Frame() = default;
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  ~Frame() { WebPDemuxReleaseIterator(&at); }
};

// The frame as `format` (rgb8 or rgba8), lines without gaps.
Status decode_frame(const WebPData& data, uint32_t width, uint32_t height, PixelFormat format, std::vector<uint8_t>& out) {
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0) return error(Code::internal, "libwebp's headers are of another version than the library");
  const size_t line = size_t{width} * channels(format);
  out.resize(line * height);
  config.output.colorspace = format == PixelFormat::rgba8 ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = out.data();
  config.output.u.RGBA.stride = static_cast<int>(line);
  config.output.u.RGBA.size = out.size();
  const VP8StatusCode status = WebPDecode(data.bytes, data.size, &config);
  if (status == VP8_STATUS_OUT_OF_MEMORY) return error(Code::out_of_memory, "libwebp found no memory for %u x %u pixels", width, height);
  if (status != VP8_STATUS_OK)
    return error(Code::corrupt, "the WebP file is damaged or cut off (libwebp's status %d)", static_cast<int>(status));
  return {};
}

}  // namespace

Result<ImageHeader> probe_webp(std::span<const std::byte> file) {
  KL_ASSIGN(const Demuxer demuxer, open(file));
  ImageHeader header{ImageFormat::webp, WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH),
                     WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT), orientation_of(demuxer.get())};
  if (swaps_sides(header.orientation)) std::swap(header.width, header.height);
  return header;
}

Result<Picture> decode_webp(std::span<const std::byte> file, const DecodeLimits& limits) {
  KL_ASSIGN(const Demuxer demuxer, open(file));
  const uint32_t width = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH);
  const uint32_t height = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT);
  // The frame as it is decoded, and what libwebp's lossless decoder keeps: four bytes a pixel each.
  KL_TRY(check_limits(width, height, uint64_t{width} * height * 8 + uint64_t{width} * 64 + (uint64_t{1} << 18), limits));
  Frame frame;
  if (WebPDemuxGetFrame(demuxer.get(), 1, &frame.at) == 0) return error(Code::corrupt, "the WebP file has no picture in it");
  const auto frame_width = static_cast<uint32_t>(frame.at.width);
  const auto frame_height = static_cast<uint32_t>(frame.at.height);
  const auto left = static_cast<uint32_t>(frame.at.x_offset);
  const auto top = static_cast<uint32_t>(frame.at.y_offset);
  if (left > width || top > height || frame_width > width - left || frame_height > height - top)
    return error(Code::corrupt, "the WebP file's first frame is not inside its canvas");

  const PixelFormat format = frame.at.has_alpha != 0 ? PixelFormat::rgba8 : PixelFormat::rgb8;
  std::vector<uint8_t> pixels;  // [frame height][frame width][3 or 4]
  KL_TRY(decode_frame(frame.at.fragment, frame_width, frame_height, format, pixels));

  Picture picture;
  const UprightWriter writer(picture, width, height, orientation_of(demuxer.get()));
  std::vector<uint8_t> rgb(size_t{3} * width);
  const size_t line = size_t{frame_width} * channels(format);
  for (uint32_t y = 0; y < height; ++y) {
    std::memset(rgb.data(), 255, rgb.size());
    if (y >= top && y - top < frame_height)
      rgb_line(reinterpret_cast<const std::byte*>(pixels.data()) + (y - top) * line, frame_width, format, false,
               rgb.data() + size_t{3} * left);
    writer.put(y, rgb.data());
  }
  return picture;
}

}  // namespace kl
