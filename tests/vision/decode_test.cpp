// Decoding against Pillow and PngSuite (scripts/goldens/pixels.py says how the references are made).
#include "vision/decode.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "vision/lines.h"
#include "vision/orientation.h"
#include "vision/picture.h"

namespace kl {
namespace {

using testing::bytes_of;
using testing::crc32;
using testing::golden_lines;
using testing::image_files;
using testing::images;

std::string hex(uint32_t value) { return format("%08x", value); }

TEST(Decode, EveryFileIsWhatTheReferenceMakesOfIt) {
  std::map<std::string, size_t> decoded;
  size_t refused = 0;
  for (const std::vector<std::string>& line : golden_lines("decode.txt")) {
    const std::vector<std::byte> file = bytes_of(images() / line[0]);
    ASSERT_FALSE(file.empty()) << line[0];
    const Result<Picture> picture = decode_image(file, {});
    if (line[1] == "error") {
      EXPECT_FALSE(picture.ok()) << line[0] << " is damaged";
      EXPECT_FALSE(picture.status().message().empty());
      ++refused;
      continue;
    }
    ASSERT_TRUE(picture.ok()) << line[0] << ": " << picture.status().message();
    EXPECT_EQ(std::to_string(picture->width) + " " + std::to_string(picture->height), line[1] + " " + line[2]) << line[0];
    EXPECT_EQ(hex(crc32(picture->rgb)), line[3]) << line[0];
    ++decoded[line[0].substr(line[0].rfind('.') + 1)];
  }
  EXPECT_GE(decoded["png"], 150U);
  EXPECT_GE(decoded["jpg"], 20U);
  EXPECT_GE(decoded["webp"], 12U);
  EXPECT_GE(decoded["bmp"], 12U);
  EXPECT_GE(refused, 14U);
}

TEST(Decode, AProbeKnowsTheUprightSizeBeforeDecoding) {
  const std::map<std::string, ImageFormat> formats = {
      {"png", ImageFormat::png}, {"jpg", ImageFormat::jpeg}, {"webp", ImageFormat::webp}, {"bmp", ImageFormat::bmp}};
  size_t checked = 0;
  for (const std::string& name : image_files()) {
    const std::vector<std::byte> file = bytes_of(images() / name);
    const Result<Picture> picture = decode_image(file, {});
    if (!picture.ok()) continue;
    const Result<ImageHeader> header = probe_image(file);
    ASSERT_TRUE(header.ok()) << name << ": " << header.status().message();
    EXPECT_EQ(header->width, picture->width) << name;
    EXPECT_EQ(header->height, picture->height) << name;
    EXPECT_EQ(header->format, formats.at(name.substr(name.rfind('.') + 1))) << name;
    ++checked;
  }
  EXPECT_GT(checked, 180U);
}

// The same picture in eight positions: a photograph from a phone is never sideways.
// The same picture in eight positions: a photograph from a phone is never sideways.
TEST(Decode, AllEightOrientationsAreFoundInEveryFormat) {
  for (int orientation = 2; orientation <= 8; ++orientation) {
    for (const char* ending : {".jpg", ".webp"}) {
      const std::string name = "pillow/hopper_orientation_" + std::to_string(orientation) + ending;
      const Result<ImageHeader> header = probe_image(bytes_of(images() / name));
      ASSERT_TRUE(header.ok()) << name << ": " << header.status().message();
      EXPECT_EQ(header->orientation, orientation) << name;
    }
    const Result<ImageHeader> header = probe_image(bytes_of(images() / ("made/orientation_" + std::to_string(orientation) + ".png")));
    ASSERT_TRUE(header.ok()) << header.status().message();
    EXPECT_EQ(header->orientation, orientation);
    EXPECT_EQ(header->width, orientation >= 5 ? 33U : 45U);
  }
}

TEST(UprightWriter, TurnsAsExifSays) {
  // Stored pixel (x, y) of a picture of 3 x 2 is x + 3 y. EXIF: 1 as it is; 2 mirrored; 3 upside down; 4 that mirrored; 5 transposed; 6 turned right;
  // 7 transposed across the other diagonal; 8 turned left.
  const std::map<uint8_t, std::vector<uint8_t>> upright = {{1, {0, 1, 2, 3, 4, 5}}, {2, {2, 1, 0, 5, 4, 3}}, {3, {5, 4, 3, 2, 1, 0}},
                                                           {4, {3, 4, 5, 0, 1, 2}}, {5, {0, 3, 1, 4, 2, 5}}, {6, {3, 0, 4, 1, 5, 2}},
                                                           {7, {5, 2, 4, 1, 3, 0}}, {8, {2, 5, 1, 4, 0, 3}}};
  const uint8_t stored[18] = {0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5};
  for (const auto& [orientation, expected] : upright) {
    Picture picture;
    const UprightWriter writer(picture, 3, 2, orientation);
    writer.put(0, stored);
    writer.put(1, stored + 9);
    EXPECT_EQ(picture.width, orientation >= 5 ? 2U : 3U);
    EXPECT_EQ(picture.height, orientation >= 5 ? 3U : 2U);
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(picture.rgb[3 * i + 1], expected[i]) << "orientation " << int{orientation} << ", pixel " << i;
  }
}

TEST(Decode, ABadOrientationIsNoReasonToRefuse) {
  const Result<Picture> picture = decode_image(bytes_of(images() / "pillow/exif-dpi-zerodivision.jpg"), {});
  EXPECT_TRUE(picture.ok()) << picture.status().message();
}

TEST(Decode, OtherFilesAreNotPictures) {
  for (const char* text : {"", "G", "GIF89a", "\xff\xd8", "BM", "RIFF", "\x89PNG\r\n\x1a\n", "plain text that goes on for a while"}) {
    const auto* begin = reinterpret_cast<const std::byte*>(text);
    const std::span<const std::byte> file(begin, std::strlen(text));
    EXPECT_FALSE(decode_image(file, {}).ok()) << text;
    EXPECT_FALSE(probe_image(file).ok()) << text;
  }
}

TEST(Decode, ApplesVariantOfPngIsNamed) {
  const Result<Picture> picture = decode_image(bytes_of(images() / "pngsuite/iphone_z06n2c08.png"), {});
  EXPECT_EQ(picture.status().code(), Code::unsupported);
  EXPECT_NE(picture.status().message().find("CgBI"), std::string::npos);
}

TEST(FromView, EveryFormatBecomesRgb) {
  const uint8_t rgba[] = {10, 20, 30, 255, 40, 50, 60, 0, 70, 80, 90, 51, 0, 0, 0, 0};  // two pixels a line, two lines
  const auto view = [&](PixelFormat format, size_t stride) {
    return PixelView{reinterpret_cast<const std::byte*>(rgba), 2, 2, stride, format};
  };
  const auto pixels = [](const Result<Picture>& picture) { return picture.ok() ? picture->rgb : std::vector<uint8_t>{}; };
  using V = std::vector<uint8_t>;
  EXPECT_EQ(pixels(from_view(view(PixelFormat::rgba8, 8), false, {})), (V{10, 20, 30, 255, 255, 255, 218, 220, 222, 255, 255, 255}));
  EXPECT_EQ(pixels(from_view(view(PixelFormat::bgra8, 8), false, {})), (V{30, 20, 10, 255, 255, 255, 222, 220, 218, 255, 255, 255}));
  EXPECT_EQ(pixels(from_view(view(PixelFormat::rgba8, 8), true, {})), (V{10, 20, 30, 255, 255, 255, 255, 255, 255, 255, 255, 255}));
  EXPECT_EQ(pixels(from_view(view(PixelFormat::rgb8, 8), false, {})), (V{10, 20, 30, 255, 40, 50, 70, 80, 90, 51, 0, 0}));
  EXPECT_EQ(pixels(from_view(view(PixelFormat::bgr8, 8), false, {})), (V{30, 20, 10, 50, 40, 255, 90, 80, 70, 0, 0, 51}));
  EXPECT_EQ(pixels(from_view(view(PixelFormat::gray8, 8), false, {})), (V{10, 10, 10, 20, 20, 20, 70, 70, 70, 80, 80, 80}));
}

TEST(FromView, NonsenseIsRefused) {
  const std::byte pixel[4] = {};
  const auto code = [](const PixelView& view, const DecodeLimits& limits = {}) { return from_view(view, false, limits).status().code(); };
  EXPECT_EQ(code({nullptr, 1, 1, 3, PixelFormat::rgb8}), Code::invalid_argument);
  EXPECT_EQ(code({pixel, 0, 1, 3, PixelFormat::rgb8}), Code::invalid_argument);
  EXPECT_EQ(code({pixel, 1, 0, 3, PixelFormat::rgb8}), Code::invalid_argument);
  EXPECT_EQ(code({pixel, 1, 1, 2, PixelFormat::rgb8}), Code::invalid_argument);
  EXPECT_EQ(code({pixel, 1, 1, 4, static_cast<PixelFormat>(9)}), Code::invalid_argument);
  EXPECT_EQ(code({pixel, 1, 1, 3, PixelFormat::rgb8}, {1, 1, 2}), Code::out_of_memory);
  EXPECT_EQ(code({pixel, 1, 1, 3, PixelFormat::rgb8}, {1, 1, 3}), Code::ok);
}

// Round to nearest of c a / 255 + 255 - a, at every pair: Pillow's formula does not lose a bit.
TEST(OverWhite, IsTheRoundedBlend) {
  for (uint32_t c = 0; c < 256; ++c) {
    for (uint32_t a = 0; a < 256; ++a) {
      const uint32_t exact255 = c * a + 255 * (255 - a);
      ASSERT_EQ(over_white(c, a), (2 * exact255 + 255) / 510) << c << " " << a;
    }
  }
}

}  // namespace
}  // namespace kl
