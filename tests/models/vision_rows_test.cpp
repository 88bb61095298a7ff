// The order of an encoder's rows: pure, so every property is checked over many sizes.
#include "models/vision_rows.h"

#include <gtest/gtest.h>

#include <set>

namespace kl {
namespace {

VisionSpec dynamic_spec(uint32_t patch, uint32_t merge, uint32_t window) {
  VisionSpec s;
  s.rule = TileRule::dynamic;
  s.patch = patch;
  s.merge = merge;
  s.window = window;
  return s;
}

TEST(VisionRows, EveryPatchStandsOnceAndItsDataNameIt) {
  for (const uint32_t merge : {1u, 2u, 3u}) {
    for (const uint32_t window : {0u, 2 * merge, 3 * merge}) {
      for (const auto& [h, w] : {std::pair{1u, 1u}, {4u, 7u}, {6u, 6u}, {5u, 2u}}) {
        const VisionSpec s = dynamic_spec(4, merge, window);
        const uint32_t lines = h * merge, columns = w * merge, tile_width = columns * 4;
        const auto made = tile_rows(s, tile_width, lines * 4, 4096);
        ASSERT_TRUE(made.ok()) << made.status().message();
        const TileRows& t = *made;
        EXPECT_EQ(t.height, h);
        EXPECT_EQ(t.width, w);
        ASSERT_EQ(t.rows(), lines * columns);
        std::set<int32_t> seen;
        for (size_t row = 0; row < t.rows(); ++row) {
          const auto y = static_cast<uint32_t>(t.positions[row][0]), x = static_cast<uint32_t>(t.positions[row][1]);
          EXPECT_EQ(static_cast<uint32_t>(t.tokens[row]), y * columns + x);
          EXPECT_EQ(t.pixels[row], 3 * 4 * (y * tile_width + x));
          EXPECT_EQ(t.whole[row], (std::array<uint32_t, 2>{0, t.rows()}));
          seen.insert(t.tokens[row]);
        }
        EXPECT_EQ(seen.size(), t.rows());
      }
    }
  }
}

TEST(VisionRows, PatchesOfOneSquareAreNeighboursLineByLine) {
  const auto t = tile_rows(dynamic_spec(2, 2, 4), 20, 12, 4096);
  ASSERT_TRUE(t.ok());
  for (uint32_t y = 0; y < t->height; ++y) {
    for (uint32_t x = 0; x < t->width; ++x) {
      const size_t first = size_t{4} * t->result_rows[y * t->width + x];
      for (uint32_t i = 0; i < 4; ++i) {
        EXPECT_EQ(t->positions[first + i][0], static_cast<int32_t>(2 * y + i / 2));
        EXPECT_EQ(t->positions[first + i][1], static_cast<int32_t>(2 * x + i % 2));
      }
    }
  }
}

TEST(VisionRows, AWindowIsARangeOfExactlyItsPatches) {
  const auto t = tile_rows(dynamic_spec(2, 2, 4), 20, 12, 4096);  // 6 x 10 patches: windows of 4 x 4, cut at the right and below
  ASSERT_TRUE(t.ok());
  ASSERT_EQ(t->windows.size(), t->rows());
  const auto window_of = [&](size_t row) { return std::pair(t->positions[row][0] / 4, t->positions[row][1] / 4); };
  for (size_t row = 0; row < t->rows(); ++row) {
    const auto [first, end] = t->windows[row];
    EXPECT_LE(first, row);
    EXPECT_GT(end, row);
    for (size_t other = 0; other < t->rows(); ++other) EXPECT_EQ(window_of(other) == window_of(row), other >= first && other < end);
  }
}

TEST(VisionRows, TheClassTokenStandsFirstWithoutAPatch) {
  VisionSpec s;
  s.patch = 8;
  s.image_size = 30;  // six pixels at the right and below belong to no patch
  s.class_token = true;
  const auto t = tile_rows(s, 30, 30, 4096);
  ASSERT_TRUE(t.ok()) << t.status().message();
  ASSERT_EQ(t->rows(), 10u);
  EXPECT_EQ(t->pixels[0], kNoRowPixel);
  EXPECT_EQ(t->positions[0][0], 0);
  for (size_t row = 0; row < t->rows(); ++row) EXPECT_EQ(t->tokens[row], static_cast<int32_t>(row));
  for (size_t row = 1; row < t->rows(); ++row) EXPECT_LT(t->positions[row][0], 0);
  EXPECT_EQ(t->pixels[9], 3u * (16 * 30 + 16));
  for (uint32_t i = 0; i < 9; ++i) EXPECT_EQ(t->result_rows[i], i + 1);
}

TEST(VisionRows, WrongSizesAreErrorsThatSayWhatIsRight) {
  VisionSpec fixed;
  fixed.patch = 8;
  fixed.image_size = 64;
  const VisionSpec dynamic = dynamic_spec(14, 2, 8);
  const auto message = [](const VisionSpec& s, uint32_t w, uint32_t h, uint32_t limit = 4096) {
    const auto t = tile_rows(s, w, h, limit);
    return t.ok() ? std::string() : t.status().message();
  };
  EXPECT_NE(message(fixed, 64, 56).find("takes 64 x 64"), std::string::npos);
  EXPECT_NE(message(dynamic, 28, 27).find("multiples of 28"), std::string::npos);
  EXPECT_NE(message(dynamic, 0, 28).find("multiples of 28"), std::string::npos);
  EXPECT_NE(message(dynamic, 280, 280, 399).find("400 patches; the limit is 399"), std::string::npos);
  EXPECT_EQ(message(dynamic, 280, 280, 400), "");
  EXPECT_NE(message(dynamic, 28 * 150000000u, 28 * 150000000u), "");
}

TEST(VisionText, StandsAroundTilesAsTheProcessorsWriteIt) {
  const ImageText idefics3 = {"<image>", "<f><g>", "<f><row_{r}_col_{c}>", "\n", "\n<f><g>", "<f>", "", ""};
  using Strings = std::vector<std::string>;
  EXPECT_EQ(text_around(idefics3, 0, 0, false), (Strings{"<f><g>", "<f>"}));
  EXPECT_EQ(text_around(idefics3, 2, 1, false), (Strings{"<f><row_1_col_1>", "\n<f><row_2_col_1>", "\n\n<f><g>", "<f>"}));
  EXPECT_EQ(text_around(idefics3, 1, 2, false), (Strings{"<f><row_1_col_1>", "<f><row_1_col_2>", "\n\n<f><g>", "<f>"}));
  const ImageText qwen = {"<p>", "", "", "", "", "", "<s>", "<e>"};
  EXPECT_EQ(text_around(qwen, 0, 0, false), (Strings{"", ""}));
  EXPECT_EQ(text_around(qwen, 0, 0, true), (Strings{"<s>", "<e>"}));
}

}  // namespace
}  // namespace kl
