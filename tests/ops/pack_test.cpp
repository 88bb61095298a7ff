// Packed layouts: round trips through the reference unpacker, and the grammar of their names.
#include "cpu/pack/pack.h"

#include <gtest/gtest.h>

#include "core/formats.h"
#include "cpu/pack/layout_name.h"
#include "ops/kernels_oracle.h"

namespace kl::cpu {
namespace {

TEST(Pack, EveryFormatUnpacksToTheBitsOfItsFile) {
  oracle::Random random(11);
  for (const Format format : oracle::kAllFormats) {
    const size_t n = 70, k = 768;
    const std::vector<std::byte> rows = oracle::random_rows(format, n, k, random);
    std::vector<std::byte> packed(packed_bytes(format, n, k), std::byte{0xa5});
    ASSERT_TRUE(pack_weights(format, n, k, rows, packed).ok());
    std::vector<float> expected(k), got(k);
    for (size_t o = 0; o < 96; ++o) {
      unpack_panel_row(format, packed.data() + o / 32 * panel_bytes(format, k), k, o % 32, got.data());
      if (o < n) {
        dequantize_row(format, rows.data() + o * row_bytes(format, k), expected.data(), k);
        EXPECT_TRUE(oracle::same_bits(got.data(), expected.data(), k)) << name(format) << " row " << o;
      } else {
        for (const float v : got) ASSERT_EQ(v, 0.0f) << name(format) << ": rows beyond N are zero weights";
      }
    }
  }
}

TEST(Pack, APanelPackedAloneIsThePanelOfTheWhole) {
  oracle::Random random(12);
  for (const Format format : oracle::kAllFormats) {
    const size_t n = 50, k = 256;
    const std::vector<std::byte> rows = oracle::random_rows(format, n, k, random);
    std::vector<std::byte> packed(packed_bytes(format, n, k)), panel(panel_bytes(format, k), std::byte{0x5a});
    ASSERT_TRUE(pack_weights(format, n, k, rows, packed).ok());
    pack_panel(format, rows.data() + 32 * row_bytes(format, k), 18, k, panel.data());
    EXPECT_EQ(std::memcmp(panel.data(), packed.data() + panel.size(), panel.size()), 0) << name(format);
  }
}

TEST(Pack, WrongSizesAreErrorsThatSayWhatWasExpected) {
  std::vector<std::byte> rows(row_bytes(Format::q4_0, 64) * 32), packed(packed_bytes(Format::q4_0, 32, 64));
  EXPECT_TRUE(pack_weights(Format::q4_0, 32, 64, rows, packed).ok());
  EXPECT_EQ(pack_weights(Format::q4_0, 31, 64, rows, packed).code(), Code::invalid_argument);
  EXPECT_EQ(pack_weights(Format::q4_0, 32, 65, rows, packed).code(), Code::invalid_argument);
  packed.pop_back();
  EXPECT_NE(pack_weights(Format::q4_0, 32, 64, rows, packed).message().find("1152"), std::string::npos);
  EXPECT_FALSE(packed_bytes_checked(Format::f32, ~uint64_t{0}, 4).ok());
  EXPECT_FALSE(packed_bytes_checked(Format::f32, 4, ~uint64_t{0} / 64).ok());
  EXPECT_FALSE(packed_bytes_checked(Format::q4_k, 32, 128).ok());
}

TEST(LayoutName, EveryFormatsNameParsesAndPrintsBack) {
  for (const Format format : oracle::kAllFormats) {
    const auto layout = parse_layout(layout_name(format));
    ASSERT_TRUE(layout.ok()) << layout.status().message();
    EXPECT_EQ(layout->format, format);
    EXPECT_EQ(layout->rows, 32u);
    EXPECT_EQ(print(*layout), layout_name(format));
  }
}

TEST(LayoutName, SaysGroupsZeroPointsAndPermutation) {
  const LayoutName gptq{Format::q4_0, 128, 16, 8, ScalePlace::separate, ScalePlace::header, true};
  EXPECT_EQ(print(gptq), "q4_0/g128/n16/k8/ss/zh/p");
  EXPECT_EQ(*parse_layout("q4_0/g128/n16/k8/ss/zh/p"), gptq);
}

TEST(LayoutName, WhatItDoesNotUnderstandIsNamed) {
  for (const char* bad :
       {"", "q4_0", "q4_0/g32", "q9/g32/n32", "q4_0/g0/n32", "q4_0/g032/n32", "q4_0/g32/n32/k1", "q4_0/g32/n32/zb/sb", "q4_0/g32/n32/sx",
        "q4_0/g32/n32/p/p", "q4_0/g32/n32/", "q4_0/g-1/n32", "q4_0/g99999999999/n32", "q4_0/n32/g32"}) {
    const auto layout = parse_layout(bad);
    ASSERT_FALSE(layout.ok()) << bad;
    EXPECT_EQ(layout.status().code(), Code::invalid_argument);
  }
  EXPECT_NE(parse_layout("q4_0/g32/n32/sx").status().message().find("\"sx\""), std::string::npos);
}

}  // namespace
}  // namespace kl::cpu
