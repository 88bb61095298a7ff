// Resizing against torchvision and Pillow, to the last bit.
#include "vision/resample.h"

#include <gtest/gtest.h>

#include <map>

#include "core/status.h"
#include "vision/picture.h"

namespace kl {
namespace {

using testing::kFilters;

TEST(Resample, EqualsTorchvisionAndPillow) {
  size_t checked = 0;
  for (const std::vector<std::string>& line : testing::golden_lines("resample.txt")) {
    const auto number = [&](size_t i) { return static_cast<uint32_t>(std::stoul(line[i])); };
    const Picture from = testing::made_picture(number(0), number(1));
    const Sums sums = line[5] == "pillow" ? Sums::pillow : Sums::torch;
    const Picture to = resample(from.view(), number(2), number(3), kFilters.at(line[4]), sums);
    EXPECT_EQ(format("%08x", testing::crc32(to.rgb)), line[6])
        << line[0] << " x " << line[1] << " to " << line[2] << " x " << line[3] << " " << line[4] << " " << line[5];
    ++checked;
  }
  EXPECT_GE(checked, 70U);
}

TEST(Resample, AWindowIsAPieceOfTheWhole) {
  const Picture from = testing::made_picture(123, 77);
  for (const auto& [name, filter] : kFilters) {
    for (const Sums sums : {Sums::torch, Sums::pillow}) {
      const Picture whole = resample(from.view(), 61, 200, filter, sums);
      const Window window{17, 101, 30, 40};
      ViewLines lines(from.view());
      const Picture piece = resample(lines, 61, 200, window, filter, sums);
      for (uint32_t y = 0; y < window.height; ++y) {
        for (uint32_t x = 0; x < 3 * window.width; ++x)
          ASSERT_EQ(piece.rgb[y * 90 + x], whole.rgb[(y + 101) * 183 + 51 + x]) << name << " " << x << " " << y;
      }
    }
  }
}

TEST(Resample, AFlatPictureStaysFlat) {
  for (const uint8_t level : {0, 1, 127, 254, 255}) {
    Picture from{41, 29, std::vector<uint8_t>(3 * 41 * 29, level)};
    for (const auto& [name, filter] : kFilters) {
      for (const auto& [width, height] : {std::pair{7U, 100U}, {100U, 7U}, {1U, 1U}, {41U, 30U}}) {
        const Picture to = resample(from.view(), width, height, filter, Sums::pillow);
        for (const uint8_t value : to.rgb) ASSERT_EQ(value, level) << name << " " << width;
      }
    }
  }
}

TEST(Resample, ViewsOfEveryFormatAreReadInPlace) {
  const Picture from = testing::made_picture(31, 17);
  std::vector<uint8_t> bgra;
  for (size_t i = 0; i < from.rgb.size(); i += 3) bgra.insert(bgra.end(), {from.rgb[i + 2], from.rgb[i + 1], from.rgb[i], 255});
  const PixelView view{reinterpret_cast<const std::byte*>(bgra.data()), 31, 17, 31 * 4, PixelFormat::bgra8};
  EXPECT_EQ(resample(view, 12, 9, Filter::bicubic, Sums::torch).rgb, resample(from.view(), 12, 9, Filter::bicubic, Sums::torch).rgb);
}

}  // namespace
}  // namespace kl
