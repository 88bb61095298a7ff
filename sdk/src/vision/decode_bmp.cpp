// BMP, read by ourselves: what is there in C (stb_image 2.27) reads palettes past their end and takes cut-off files for black ones, and the format
// is small. Depths 1, 4, 8 (palette), 16, 24, 32, bit fields, both run-length codes, both line orders; colours as Pillow's.
// Format: Microsoft, "Bitmap Header Types"; OS/2's two headers are read as far as they agree with it.
#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <vector>

#include "core/checked.h"
#include "core/reader.h"
#include "vision/codec.h"
#include "vision/lines.h"

namespace kl {
namespace {

enum Compression : uint32_t { kNone = 0, kRle8 = 1, kRle4 = 2, kFields = 3, kAlphaFields = 6 };

struct Header {
  uint32_t pixels_at = 0;
  uint32_t header_bytes = 0;
  uint32_t width = 0, height = 0;
  bool top_down = false;
  uint32_t bits = 0;
  uint32_t compression = kNone;
  uint32_t colours = 0;                             // in the palette
  uint32_t masks[4] = {0xff0000, 0xff00, 0xff, 0};  // red, green, blue, alpha
  uint64_t palette_at = 0;
};

Status read_core_sizes(Reader& in, Header& header) {  // OS/2: 16-bit sides
  KL_ASSIGN(header.width, in.number_in<uint16_t>("width", 1, UINT16_MAX));
  KL_ASSIGN(header.height, in.number_in<uint16_t>("height", 1, UINT16_MAX));
  KL_ASSIGN([[maybe_unused]] const uint16_t planes, in.u16("planes"));
  KL_ASSIGN(header.bits, in.u16("bits"));
  return {};
}

Status read_info(Reader& in, Header& header) {
  KL_ASSIGN(header.width, in.number_in<uint32_t>("width", 1, INT32_MAX));
  KL_ASSIGN(const int32_t height, in.number<int32_t>("height"));
  if (height == 0 || height == INT32_MIN) return in.wrong("height", 4, "a height other than 0", std::to_string(height));
  header.top_down = height < 0;
  header.height = static_cast<uint32_t>(height < 0 ? -height : height);
  KL_ASSIGN([[maybe_unused]] const uint16_t planes, in.u16("planes"));
  KL_ASSIGN(header.bits, in.u16("bits"));
  KL_ASSIGN(header.compression, in.u32("compression"));
  KL_ASSIGN([[maybe_unused]] const auto sizes, in.take("sizes and resolution", 3, 4));
  KL_ASSIGN(header.colours, in.u32("colours"));
  KL_ASSIGN([[maybe_unused]] const uint32_t important, in.u32("important colours"));
  return {};
}

// Where each colour's bits are: in the header from version 2 on, behind one of version 1.
Status read_masks(Reader& in, Header& header) {
  if (header.bits == 16 && header.compression == kNone) {
    constexpr uint32_t kFives[4] = {0x7c00, 0x3e0, 0x1f, 0};
    std::copy(std::begin(kFives), std::end(kFives), header.masks);
  }
  if (header.compression != kFields && header.compression != kAlphaFields) return {};
  const bool alpha = header.header_bytes >= 56 || header.compression == kAlphaFields;
  for (int i = 0; i < (alpha ? 4 : 3); ++i) {
    KL_ASSIGN(header.masks[i], in.u32("bit mask"));
    const uint32_t mask = header.masks[i];
    const uint32_t low = mask == 0 ? 0 : mask >> std::countr_zero(mask);
    if ((low & (low + 1)) != 0) return in.wrong("bit mask", 4, "neighbouring bits", format("0x%08x", mask));
  }
  return {};
}

Status check_kind(const Header& h) {
  const bool depth = h.bits == 1 || h.bits == 4 || h.bits == 8 || h.bits == 16 || h.bits == 24 || h.bits == 32;
  const bool fields = h.compression == kFields || h.compression == kAlphaFields;
  const bool fits = h.compression == kNone || (h.compression == kRle8 && h.bits == 8) || (h.compression == kRle4 && h.bits == 4) ||
                    (fields && (h.bits == 16 || h.bits == 32));
  if (depth && fits) return {};
  return error(Code::unsupported, "the BMP file has %u bits a pixel in encoding %u, which is not read", h.bits, h.compression);
}

Result<Header> read_header(std::span<const std::byte> file) {
  Reader in(file);
  Header header;
  KL_ASSIGN([[maybe_unused]] const auto mark, in.take("file header", 10, 1));
  KL_ASSIGN(header.pixels_at, in.u32("offset of the pixels"));
  KL_ASSIGN(header.header_bytes, in.u32("header size"));
  constexpr uint32_t kSizes[] = {12, 40, 52, 56, 64, 108, 124};
  if (std::find(std::begin(kSizes), std::end(kSizes), header.header_bytes) == std::end(kSizes))
    return in.wrong("header size", 4, "12, 40, 52, 56, 64, 108 or 124", std::to_string(header.header_bytes));
  KL_TRY(header.header_bytes == 12 ? read_core_sizes(in, header) : read_info(in, header));
  KL_TRY(check_kind(header));
  KL_TRY(read_masks(in, header));
  header.palette_at = std::max<uint64_t>(in.offset(), uint64_t{14} + header.header_bytes);
  if (header.bits <= 8) {
    const uint32_t most = 1U << header.bits;
    header.colours = header.colours == 0 ? most : std::min(header.colours, most);
  }
  return header;
}

struct Colour {
  uint8_t rgb[3] = {0, 0, 0};
};

// [256]: an index past the file's palette is black.
Result<std::vector<Colour>> read_palette(std::span<const std::byte> file, const Header& header) {
  std::vector<Colour> palette(256);
  const uint64_t entry = header.header_bytes == 12 ? 3 : 4;
  uint64_t count = header.colours;
  if (header.pixels_at > header.palette_at) count = std::min<uint64_t>(count, (header.pixels_at - header.palette_at) / entry);
  if (!range_fits(header.palette_at, count * entry, file.size())) return error(Code::corrupt, "the BMP file is cut off in its palette");
  for (uint64_t i = 0; i < count; ++i) {
    const std::byte* from = file.data() + header.palette_at + i * entry;
    for (int c = 0; c < 3; ++c) palette[i].rgb[c] = std::to_integer<uint8_t>(from[2 - c]);
  }
  return palette;
}

// The bits of one colour as 8: scaled down to the full range as Pillow does (rounded towards 0), or the high ones of more than 8.
struct Field {
  explicit Field(uint32_t bit_mask) : mask(bit_mask), shift(mask == 0 ? 0 : std::countr_zero(mask)), width(std::popcount(mask)) {}
  uint8_t of(uint32_t pixel) const {
    const uint32_t value = (pixel & mask) >> shift;
    if (width >= 8) return static_cast<uint8_t>(value >> (width - 8));
    return width == 0 ? uint8_t{0} : static_cast<uint8_t>(value * 255 / ((1U << width) - 1));
  }
  uint32_t mask;
  int shift, width;
};

class LineReader {
 public:
  LineReader(const Header& header, const std::vector<Colour>& palette)
      : header_(header),
        palette_(palette),
        fields_{Field(header.masks[0]), Field(header.masks[1]), Field(header.masks[2]), Field(header.masks[3])} {}

  void read(const std::byte* from, uint8_t* rgb) const {
    const auto* bytes = reinterpret_cast<const uint8_t*>(from);
    for (uint32_t x = 0; x < header_.width; ++x, rgb += 3) {
      switch (header_.bits) {
        case 1:
          look_up(bytes[x / 8] >> (7 - x % 8) & 1, rgb);
          break;
        case 4:
          look_up(bytes[x / 2] >> (x % 2 == 0 ? 4 : 0) & 15, rgb);
          break;
        case 8:
          look_up(bytes[x], rgb);
          break;
        case 16:
          pixel(load_le<uint16_t>(from + size_t{2} * x), rgb);
          break;
        case 24:
          std::reverse_copy(bytes + size_t{3} * x, bytes + size_t{3} * x + 3, rgb);
          break;
        default:
          pixel(load_le<uint32_t>(from + size_t{4} * x), rgb);
          break;
      }
    }
  }

 private:
  void look_up(uint32_t index, uint8_t* rgb) const { std::memcpy(rgb, palette_[index].rgb, 3); }
  void pixel(uint32_t value, uint8_t* rgb) const {
    const uint32_t alpha = fields_[3].mask == 0 ? 255 : fields_[3].of(value);
    for (int c = 0; c < 3; ++c) rgb[c] = over_white(fields_[c].of(value), alpha);
  }

  const Header& header_;
  const std::vector<Colour>& palette_;
  Field fields_[4];
};

// Run-length codes to indices, [height][width], bottom line first; what the code passes over is index 0. The code must say that it is at its end, or
// fill the picture.
class RunReader {
 public:
  RunReader(std::span<const std::byte> code, const Header& header, std::vector<uint8_t>& indices)
      : code_(code), header_(header), indices_(indices), nibbles_(header.compression == kRle4) {}

  Status read() {
    while (y_ < header_.height) {
      if (code_.size() - at_ < 2) return cut_off();
      const uint32_t count = next();
      const uint32_t value = next();
      if (count > 0) {
        for (uint32_t i = 0; i < count; ++i) put(!nibbles_ ? value : i % 2 == 0 ? value >> 4 : value & 15);
      } else if (value == 0) {
        x_ = 0;
        ++y_;
      } else if (value == 1) {
        return {};
      } else if (value == 2) {
        if (code_.size() - at_ < 2) return cut_off();
        x_ += next();
        y_ += next();
      } else {
        KL_TRY(literal(value));
      }
      if (y_ + 1 == header_.height && x_ >= header_.width) return {};
    }
    return {};
  }

 private:
  Status literal(uint32_t count) {
    const size_t bytes = nibbles_ ? (count + 1) / 2 : count;
    if (code_.size() - at_ < bytes) return cut_off();
    for (uint32_t i = 0; i < count; ++i) {
      const auto byte = std::to_integer<uint32_t>(code_[at_ + (nibbles_ ? i / 2 : i)]);
      put(!nibbles_ ? byte : i % 2 == 0 ? byte >> 4 : byte & 15);
    }
    at_ = std::min(at_ + bytes + bytes % 2, code_.size());  // to a whole number of 16-bit words
    return {};
  }
  uint32_t next() { return std::to_integer<uint32_t>(code_[at_++]); }
  void put(uint32_t index) {
    if (x_ < header_.width) indices_[size_t{y_} * header_.width + x_] = static_cast<uint8_t>(index);
    ++x_;
  }
  Status cut_off() const { return error(Code::corrupt, "the BMP file is cut off in line %u of %u", y_, header_.height); }

  std::span<const std::byte> code_;
  const Header& header_;
  std::vector<uint8_t>& indices_;
  bool nibbles_;
  size_t at_ = 0;
  uint32_t x_ = 0, y_ = 0;
};

}  // namespace

Result<ImageHeader> probe_bmp(std::span<const std::byte> file) {
  KL_ASSIGN(const Header header, read_header(file));
  return ImageHeader{ImageFormat::bmp, header.width, header.height, 1};
}

Result<Picture> decode_bmp(std::span<const std::byte> file, const DecodeLimits& limits) {
  KL_ASSIGN(Header header, read_header(file));
  const bool runs = header.compression == kRle8 || header.compression == kRle4;
  const uint64_t count = uint64_t{header.width} * header.height;
  KL_TRY(check_limits(header.width, header.height, (runs ? count : 0) + (uint64_t{1} << 16), limits));
  std::vector<Colour> palette;
  if (header.bits <= 8) {
    KL_ASSIGN(palette, read_palette(file, header));
  }
  const uint64_t begin = std::max<uint64_t>(header.pixels_at, header.palette_at);
  const uint64_t line_bits = uint64_t{header.width} * header.bits;
  const uint64_t stride = runs ? header.width : (line_bits + 31) / 32 * 4;
  const uint64_t needed = runs ? 0 : stride * (header.height - 1) + (line_bits + 7) / 8;  // the last line's padding may be missing
  if (!range_fits(begin, needed, file.size()))
    return error(Code::corrupt, "the BMP file is cut off: its pixels take %s bytes from byte %s on, it ends at %s",
                 with_commas(needed).c_str(), with_commas(begin).c_str(), with_commas(file.size()).c_str());

  std::vector<uint8_t> indices;
  const std::byte* lines = file.data() + begin;
  if (runs) {
    indices.resize(count);
    KL_TRY(RunReader(file.subspan(begin), header, indices).read());
    header.bits = 8;
    lines = reinterpret_cast<const std::byte*>(indices.data());
  }
  Picture picture{header.width, header.height, {}};
  picture.rgb.resize(size_t{3} * count);
  const LineReader reader(header, palette);
  for (uint32_t y = 0; y < header.height; ++y) {
    const uint32_t to = header.top_down ? y : header.height - 1 - y;
    reader.read(lines + y * stride, picture.rgb.data() + size_t{3} * to * header.width);
  }
  return picture;
}

}  // namespace kl
