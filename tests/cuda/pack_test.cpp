// The packed layout against the formats' own definition.
#include "cuda/pack.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/formats.h"

namespace kl::cuda {
namespace {

class CudaPacking : public testing::TestWithParam<FormatInfo> {};

TEST_P(CudaPacking, ComesBackToTheBit) {
  const FormatInfo& f = GetParam();
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (const uint32_t blocks : {1u, 2u, 3u, 9u}) {
    for (const uint32_t n : {1u, 15u, 16u, 33u}) {
      const uint32_t k = f.block_elements == 1 ? 4 * blocks + 32 : blocks * f.block_elements;
      std::vector<float> values(size_t{n} * k), wanted(values.size()), got(k);
      for (float& v : values) v = normal(random);
      std::vector<std::byte> rows(n * row_bytes(f.format, k));
      quantize_row(f.format, values.data(), rows.data(), values.size());
      dequantize_row(f.format, rows.data(), wanted.data(), wanted.size());
      const uint64_t bytes = matrix_bytes(f.format, n, k);
      EXPECT_EQ(bytes % 128, 0u);
      std::vector<std::byte> packed(bytes + 1, std::byte{0xde});
      pack_matrix(f.format, rows.data(), n, k, packed.data());
      EXPECT_EQ(packed.back(), std::byte{0xde});
      for (uint32_t row = 0; row < n; ++row) {
        unpack_row(f.format, packed.data(), k, row, got.data());
        const std::vector<float> row_wanted(wanted.begin() + static_cast<ptrdiff_t>(size_t{row} * k),
                                            wanted.begin() + static_cast<ptrdiff_t>(size_t{row + 1} * k));
        ASSERT_EQ(got, row_wanted) << f.name << " K = " << k << " row " << row << " of " << n;
      }
    }
  }
}

// What the layout costs beyond the file's bytes, for a matrix of whole panels: nothing but the spread scales of q4_k and q5_k, and q6_k's d.
TEST_P(CudaPacking, TakesNoMoreThanTheFile) {
  const FormatInfo& f = GetParam();
  const double file = static_cast<double>(row_bytes(f.format, 2048)) * 64, packed = static_cast<double>(matrix_bytes(f.format, 64, 2048));
  EXPECT_LE(packed, file * (f.format == Format::q4_k || f.format == Format::q5_k ? 1.03 : 1.001)) << f.name;
}

INSTANTIATE_TEST_SUITE_P(Formats, CudaPacking, testing::ValuesIn(kFormats), [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace kl::cuda
