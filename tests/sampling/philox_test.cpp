#include "sampling/philox.h"

#include <gtest/gtest.h>

namespace kl {
namespace {

using Counter = std::array<uint32_t, 4>;

// The known answers that the authors publish with Random123 (kat_vectors, philox4x32 10).
TEST(Philox, KnownAnswersOfThePaper) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}), (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UniformUsesSeedStreamAndEveryBitOfThePosition) {
  const double base = uniform(1, 0, 0);
  EXPECT_GE(base, 0);
  EXPECT_LT(base, 1);
  EXPECT_EQ(base, uniform(1, 0, 0));
  EXPECT_NE(base, uniform(2, 0, 0));
  EXPECT_NE(base, uniform(1 + (uint64_t{1} << 32), 0, 0));
  EXPECT_NE(base, uniform(1, 1, 0));
  EXPECT_NE(base, uniform(1, 0, 1));
  EXPECT_NE(base, uniform(1, 0, uint64_t{1} << 32));
}

TEST(Philox, UniformIsEvenlySpread) {
  constexpr int kDraws = 1000000, kBins = 64;
  std::array<int, kBins> counts{};
  for (int i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(uniform(42, 7, static_cast<uint64_t>(i)) * kBins)];
  double chi = 0;
  for (const int n : counts) chi += (n - kDraws / double{kBins}) * (n - kDraws / double{kBins}) / (kDraws / double{kBins});
  EXPECT_LT(chi, 103.4);  // p = 0.001 at 63 degrees of freedom
  EXPECT_GT(chi, 33.0);   // p = 0.999: too even is not random either
}

}  // namespace
}  // namespace kl
