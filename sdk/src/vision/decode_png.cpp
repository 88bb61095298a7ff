// PNG by libpng: every colour type and depth, palettes, tRNS, interlacing. 16-bit samples keep their high byte, as Pillow does; gamma and
// colour profiles are not applied. A checksum that fails in what makes pixels, or a file without its end, is an error.
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include <png.h>

#include "core/checked.h"
#include "vision/codec.h"
#include "vision/lines.h"
#include "vision/orientation.h"

namespace kl {
namespace {

constexpr uint64_t kSignatureBytes = 8;
constexpr uint64_t kChunkBytes = 12;     // length, type and checksum around a chunk's data
constexpr uint64_t kMostDeflate = 1032;  // bytes that one byte of deflate's output can stand for, its format's limit

// libpng's state. Its errors come back by longjmp into the functions below that call it; they hold no object with a destructor.
struct Png {
  png_structp reader = nullptr;
  png_infop info = nullptr;
  std::span<const std::byte> file;
  size_t at = 0;
  std::jmp_buf escape{};
  char message[160] = "";

  Png() = default;
  Png(const Png&) = delete;
  Png& operator=(const Png&) = delete;
  ~Png() { png_destroy_read_struct(&reader, &info, nullptr); }

  Status status() const { return error(Code::corrupt, "the PNG file is damaged: %s", message); }
};

[[noreturn]] void on_error(png_structp reader, png_const_charp message) {
  auto* png = static_cast<Png*>(png_get_error_ptr(reader));
  std::snprintf(png->message, sizeof png->message, "%s", message);
  std::longjmp(png->escape, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp reader, png_bytep to, size_t size) {
  auto* png = static_cast<Png*>(png_get_io_ptr(reader));
  if (size > png->file.size() - png->at) png_error(reader, "it is cut off");
  std::memcpy(to, png->file.data() + png->at, size);
  png->at += size;
}

bool open(Png& png) {
  png.reader = png_create_read_struct(PNG_LIBPNG_VER_STRING, &png, on_error, on_warning);
  if (png.reader == nullptr) return false;
  if (setjmp(png.escape) != 0) return false;
  png.info = png_create_info_struct(png.reader);
  if (png.info == nullptr) return false;
  png_set_read_fn(png.reader, &png, on_read);
  png_set_user_limits(png.reader, PNG_UINT_31_MAX, PNG_UINT_31_MAX);             // ours are checked from the header
  png_set_keep_unknown_chunks(png.reader, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);  // none of the optional chunks is even read
  png_read_info(png.reader, png.info);
  return true;
}

// To RGB or RGBA, 8 bits. tRNS is compared at the file's depth, before that is cut.
bool start(Png& png) {
  if (setjmp(png.escape) != 0) return false;
  png_set_expand(png.reader);
  png_set_strip_16(png.reader);
  png_set_gray_to_rgb(png.reader);
  png_set_interlace_handling(png.reader);
  png_read_update_info(png.reader, png.info);
  return true;
}

bool read_lines(Png& png, const UprightWriter& writer, uint8_t* line, uint8_t* rgb, uint32_t width, uint32_t height, PixelFormat format) {
  if (setjmp(png.escape) != 0) return false;
  for (uint32_t y = 0; y < height; ++y) {
    png_read_row(png.reader, line, nullptr);
    rgb_line(reinterpret_cast<const std::byte*>(line), width, format, false, rgb);
    writer.put(y, rgb);
  }
  png_read_end(png.reader, nullptr);
  return true;
}

// Adam7: seven passes, each of which fills in the lines of the last.
bool read_passes(Png& png, uint8_t* lines, size_t line_bytes, uint32_t height) {
  if (setjmp(png.escape) != 0) return false;
  for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; ++pass) {
    for (uint32_t y = 0; y < height; ++y) png_read_row(png.reader, lines + y * line_bytes, nullptr);
  }
  png_read_end(png.reader, nullptr);
  return true;
}

uint32_t big_endian(const std::byte* from) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | std::to_integer<uint32_t>(from[i]);
  return value;
}

// The eXIf chunk may stand behind the pixels, and a probe wants it without reading them: one walk over chunk headers.
uint8_t orientation_of(std::span<const std::byte> file) {
  uint64_t at = kSignatureBytes;
  while (range_fits(at, kChunkBytes, file.size())) {
    const uint64_t length = big_endian(file.data() + at);
    if (!range_fits(at + 8, length + 4, file.size())) return 1;
    if (std::memcmp(file.data() + at + 4, "eXIf", 4) == 0) return exif_orientation(file.subspan(at + 8, length));
    at += length + kChunkBytes;
  }
  return 1;
}

// Apple's Xcode writes files of its own kind under PNG's signature.
Status check_kind(std::span<const std::byte> file) {
  if (file.size() >= 16 && std::memcmp(file.data() + 12, "CgBI", 4) == 0)
    return error(Code::unsupported, "the PNG file is of Apple's own variant (CgBI), which is not PNG");
  return {};
}

Status open_checked(Png& png, std::span<const std::byte> file) {
  KL_TRY(check_kind(file));
  png.file = file;
  if (open(png)) return {};
  return png.message[0] != 0 ? png.status() : error(Code::out_of_memory, "libpng has no memory for its state");
}

}  // namespace

Result<ImageHeader> probe_png(std::span<const std::byte> file) {
  Png png;
  KL_TRY(open_checked(png, file));
  ImageHeader header{ImageFormat::png, png_get_image_width(png.reader, png.info), png_get_image_height(png.reader, png.info),
                     orientation_of(file)};
  if (swaps_sides(header.orientation)) std::swap(header.width, header.height);
  return header;
}

Result<Picture> decode_png(std::span<const std::byte> file, const DecodeLimits& limits) {
  Png png;
  KL_TRY(open_checked(png, file));
  const uint32_t width = png_get_image_width(png.reader, png.info);
  const uint32_t height = png_get_image_height(png.reader, png.info);
  const bool interlaced = png_get_interlace_type(png.reader, png.info) != PNG_INTERLACE_NONE;
  const uint64_t kept_lines = interlaced ? height : 1;
  const uint64_t working = uint64_t{width} * 4 * kept_lines + uint64_t{width} * 32 + (uint64_t{1} << 18);
  KL_TRY(check_limits(width, height, working, limits));
  const uint64_t bits = uint64_t{png_get_bit_depth(png.reader, png.info)} * png_get_channels(png.reader, png.info);
  if (uint64_t{width} * height / 8 * bits / kMostDeflate > file.size())
    return error(Code::corrupt, "the PNG file is cut off: %u x %u pixels in %s bytes", width, height, with_commas(file.size()).c_str());

  if (!start(png)) return png.status();
  const size_t line_bytes = png_get_rowbytes(png.reader, png.info);
  const PixelFormat format = line_bytes == size_t{4} * width ? PixelFormat::rgba8 : PixelFormat::rgb8;
  if (line_bytes != size_t{width} * channels(format)) return error(Code::internal, "libpng gives lines of %zu bytes", line_bytes);

  Picture picture;
  const UprightWriter writer(picture, width, height, orientation_of(file));
  std::vector<uint8_t> lines(line_bytes * kept_lines);
  std::vector<uint8_t> rgb(size_t{3} * width);
  if (!interlaced) {
    if (!read_lines(png, writer, lines.data(), rgb.data(), width, height, format)) return png.status();
    return picture;
  }
  if (!read_passes(png, lines.data(), line_bytes, height)) return png.status();
  for (uint32_t y = 0; y < height; ++y) {
    rgb_line(reinterpret_cast<const std::byte*>(lines.data()) + y * line_bytes, width, format, false, rgb.data());
    writer.put(y, rgb.data());
  }
  return picture;
}

}  // namespace kl
