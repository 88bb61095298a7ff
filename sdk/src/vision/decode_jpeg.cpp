// JPEG by libjpeg-turbo: baseline, progressive and arithmetic-coded; grey, YCbCr, RGB, CMYK, YCCK. Colours come out as Pillow's.
// Cut-off files and damaged scans are errors: libjpeg fills what is missing with grey and only warns, and a model would describe the grey.
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include <jpeglib.h>

#include <jerror.h>

#include "vision/codec.h"
#include "vision/orientation.h"

namespace kl {
namespace {

// The standard scripts write about ten scans. More only make a small file costly to decode.
constexpr int kMostScans = 100;
constexpr char kExifMark[6] = {'E', 'x', 'i', 'f', 0, 0};

// Warnings after which pixels are made up. Others ("extraneous bytes", odd markers) leave the picture whole.
bool is_damage(int code) {
  switch (code) {
    case JWRN_ARITH_BAD_CODE:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_JPEG_EOF:
    case JWRN_MUST_RESYNC:
      return true;
    default:
      return false;
  }
}

Code code_of(int message) {
  switch (message) {
    case JERR_OUT_OF_MEMORY:
      return Code::out_of_memory;
    case JERR_ARITH_NOTIMPL:
    case JERR_BAD_PRECISION:
    case JERR_CCIR601_NOTIMPL:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_SOF_UNSUPPORTED:
      return Code::unsupported;
    default:
      return Code::corrupt;
  }
}

// libjpeg's state. Its errors come back by longjmp into the three functions below that call it; they and everything under them hold no object
// with a destructor, and this one is destroyed by their caller.
struct Jpeg {
  jpeg_decompress_struct decoder{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf escape{};
  char message[JMSG_LENGTH_MAX] = "";
  int code = 0;

  Jpeg() = default;
  Jpeg(const Jpeg&) = delete;
  Jpeg& operator=(const Jpeg&) = delete;
  ~Jpeg() { jpeg_destroy_decompress(&decoder); }  // also what was never created

  Status status() const { return error(code_of(code), "the JPEG file is damaged or of a rare kind: %s", message); }
};

[[noreturn]] void give_up(j_common_ptr info) {
  auto* jpeg = static_cast<Jpeg*>(info->client_data);
  jpeg->code = info->err->msg_code;
  info->err->format_message(info, jpeg->message);
  std::longjmp(jpeg->escape, 1);
}

void on_message(j_common_ptr info, int level) {
  if (level < 0 && is_damage(info->err->msg_code)) give_up(info);
}

void on_progress(j_common_ptr info) {
  auto* jpeg = static_cast<Jpeg*>(info->client_data);
  if (jpeg->decoder.input_scan_number <= kMostScans) return;
  jpeg->code = JERR_SOF_UNSUPPORTED;
  std::snprintf(jpeg->message, sizeof jpeg->message, "more than %d scans", kMostScans);
  std::longjmp(jpeg->escape, 1);
}

bool read_header(Jpeg& jpeg, std::span<const std::byte> file) {
  jpeg.decoder.err = jpeg_std_error(&jpeg.errors);
  jpeg.decoder.client_data = &jpeg;
  jpeg.errors.error_exit = give_up;
  jpeg.errors.emit_message = on_message;
  if (setjmp(jpeg.escape) != 0) return false;
  jpeg_create_decompress(&jpeg.decoder);
  jpeg.decoder.client_data = &jpeg;
  jpeg.progress.progress_monitor = on_progress;
  jpeg.decoder.progress = &jpeg.progress;
  jpeg_mem_src(&jpeg.decoder, reinterpret_cast<const unsigned char*>(file.data()), static_cast<unsigned long>(file.size()));
  jpeg_save_markers(&jpeg.decoder, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&jpeg.decoder, TRUE);
  return true;
}

bool start(Jpeg& jpeg) {
  if (setjmp(jpeg.escape) != 0) return false;
  jpeg.decoder.out_color_space = jpeg.decoder.num_components == 4 ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&jpeg.decoder);
  return true;
}

// CMYK as Adobe writes it, inverted, to RGB: Pillow's formula.
void cmyk_to_rgb(const uint8_t* cmyk, uint32_t width, uint8_t* rgb) {
  for (uint32_t x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
    const uint32_t light = cmyk[3];
    for (int c = 0; c < 3; ++c) {
      const uint32_t product = (255U - cmyk[c]) * light + 128;
      rgb[c] = static_cast<uint8_t>(light - (((product >> 8) + product) >> 8));
    }
  }
}

bool read_lines(Jpeg& jpeg, const UprightWriter& writer, uint8_t* line, uint8_t* rgb) {
  if (setjmp(jpeg.escape) != 0) return false;
  while (jpeg.decoder.output_scanline < jpeg.decoder.output_height) {
    const uint32_t y = jpeg.decoder.output_scanline;
    JSAMPROW rows[1] = {line};
    jpeg_read_scanlines(&jpeg.decoder, rows, 1);
    if (jpeg.decoder.output_components == 4) cmyk_to_rgb(line, jpeg.decoder.output_width, rgb);
    writer.put(y, jpeg.decoder.output_components == 4 ? rgb : line);
  }
  jpeg_finish_decompress(&jpeg.decoder);
  return true;
}

uint8_t orientation_of(const Jpeg& jpeg) {
  for (jpeg_saved_marker_ptr m = jpeg.decoder.marker_list; m != nullptr; m = m->next) {
    if (m->data_length < sizeof kExifMark || std::memcmp(m->data, kExifMark, sizeof kExifMark) != 0) continue;
    return exif_orientation({reinterpret_cast<const std::byte*>(m->data), m->data_length});
  }
  return 1;
}

}  // namespace

Result<ImageHeader> probe_jpeg(std::span<const std::byte> file) {
  Jpeg jpeg;
  if (!read_header(jpeg, file)) return jpeg.status();
  ImageHeader header{ImageFormat::jpeg, jpeg.decoder.image_width, jpeg.decoder.image_height, orientation_of(jpeg)};
  if (swaps_sides(header.orientation)) std::swap(header.width, header.height);
  return header;
}

Result<Picture> decode_jpeg(std::span<const std::byte> file, const DecodeLimits& limits) {
  Jpeg jpeg;
  if (!read_header(jpeg, file)) return jpeg.status();
  const uint32_t width = jpeg.decoder.image_width;
  const uint32_t height = jpeg.decoder.image_height;

  // Scans that do not hold all components, or all bits, are gathered in memory: 128 bytes for a block of 8 x 8.
  uint64_t blocks = 0;
  uint64_t gathered = 0;
  for (int c = 0; c < jpeg.decoder.num_components; ++c) {
    const jpeg_component_info& component = jpeg.decoder.comp_info[c];
    blocks += uint64_t{component.width_in_blocks} * component.height_in_blocks;
    gathered += uint64_t{component.width_in_blocks + 4} * (component.height_in_blocks + 4) * sizeof(JBLOCK);
  }
  const uint64_t lines = uint64_t{width} * 128 + (uint64_t{1} << 18);  // libjpeg's own, at its largest sampling factors
  KL_TRY(check_limits(width, height, (jpeg_has_multiple_scans(&jpeg.decoder) != 0 ? gathered : 0) + lines, limits));
  // Every block takes a bit at least: a small file that claims to be large is cut off, and known to be before its picture is allocated.
  if (jpeg.decoder.arith_code == 0 && blocks / 8 > file.size())
    return error(Code::corrupt, "the JPEG file is cut off: %u x %u pixels in %s bytes", width, height, with_commas(file.size()).c_str());

  if (!start(jpeg)) return jpeg.status();
  Picture picture;
  const UprightWriter writer(picture, width, height, orientation_of(jpeg));
  std::vector<uint8_t> line(size_t{width} * 4);
  std::vector<uint8_t> rgb(size_t{width} * 3);
  if (!read_lines(jpeg, writer, line.data(), rgb.data())) return jpeg.status();
  return picture;
}

}  // namespace kl
