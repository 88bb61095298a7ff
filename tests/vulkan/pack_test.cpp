// The packed layout against the formats' own definition.
#include "vulkan/pack.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/formats.h"

namespace kl::vulkan {
namespace {

class Packing : public testing::TestWithParam<FormatInfo> {};

TEST_P(Packing, ComesBackToTheBit) {
  const FormatInfo& f = GetParam();
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (const uint32_t blocks : {1u, 2u, 3u, 9u}) {
    const uint32_t k = f.block_elements == 1 ? 4 * blocks + 32 : blocks * f.block_elements;
    std::vector<float> values(k), wanted(k), got(k);
    for (float& v : values) v = normal(random);
    std::vector<std::byte> row(row_bytes(f.format, k));
    quantize_row(f.format, values.data(), row.data(), k);
    dequantize_row(f.format, row.data(), wanted.data(), k);
    const RowLayout l = row_layout(f.format, k);
    EXPECT_EQ(l.row_words % 4, 0u);
    std::vector<uint32_t> packed(l.row_words + 1, 0xdeadbeef);
    pack_row(f.format, row.data(), k, packed.data());
    EXPECT_EQ(packed.back(), 0xdeadbeef);
    unpack_row(f.format, packed.data(), k, got.data());
    EXPECT_EQ(got, wanted) << f.name << " K = " << k;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Packing, testing::ValuesIn(kFormats), [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace kl::vulkan
