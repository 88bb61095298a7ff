// The one question we ask of EXIF, asked through libexif.
#include <libexif/exif-data.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "vision/orientation.h"

namespace kl {
namespace {

constexpr char kMark[6] = {'E', 'x', 'i', 'f', 0, 0};  // what libexif wants in front
// A JPEG segment's most. The orientation is in the first directory, at the front; what stands behind this is thumbnails.
constexpr size_t kMostBytes = 65536;

}  // namespace

uint8_t exif_orientation(std::span<const std::byte> exif) {
  if (exif.size() >= sizeof kMark && std::memcmp(exif.data(), kMark, sizeof kMark) == 0) exif = exif.subspan(sizeof kMark);
  exif = exif.first(std::min(exif.size(), kMostBytes));
  if (exif.size() < 8) return 1;  // a TIFF header
  std::vector<unsigned char> bytes(sizeof kMark + exif.size());
  std::memcpy(bytes.data(), kMark, sizeof kMark);
  std::memcpy(bytes.data() + sizeof kMark, exif.data(), exif.size());

  const std::unique_ptr<ExifData, void (*)(ExifData*)> data(exif_data_new(), exif_data_unref);
  if (data == nullptr) return 1;
  exif_data_unset_option(data.get(), EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);  // no repairs, and no orientation of its own making
  exif_data_load_data(data.get(), bytes.data(), static_cast<unsigned>(bytes.size()));
  const ExifEntry* entry = exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
  if (entry == nullptr || entry->format != EXIF_FORMAT_SHORT || entry->components < 1 || entry->size < 2) return 1;
  const ExifShort value = exif_get_short(entry->data, exif_data_get_byte_order(data.get()));
  return value >= 1 && value <= 8 ? static_cast<uint8_t>(value) : uint8_t{1};
}

}  // namespace kl
