// Fewer rows: what is averaged, what is left out, and that places, grids and order stay true.
#include "vision/reduce_rows.h"

#include <gtest/gtest.h>

#include <cmath>

#include "feature_support.h"

namespace kl {
namespace {

using test::same;

// One value per row: 100 y + x.
Features grid(uint32_t height, uint32_t width, uint32_t blocks = 1) {
  Features f;
  f.rows = blocks * height * width;
  f.width = 1;
  for (uint32_t b = 0; b < blocks; ++b) {
    f.blocks.push_back({height * width, height, width});
    for (uint32_t y = 0; y < height; ++y) {
      for (uint32_t x = 0; x < width; ++x) f.values.push_back(static_cast<float>(1000 * b + 100 * y + x));
    }
  }
  return f;
}

Features rows_of(const std::vector<std::vector<float>>& rows) {
  Features f;
  f.rows = static_cast<uint32_t>(rows.size());
  f.width = static_cast<uint32_t>(rows[0].size());
  f.blocks = {{f.rows, 1, f.rows}};
  for (const std::vector<float>& row : rows) f.values.insert(f.values.end(), row.begin(), row.end());
  return f;
}

std::vector<uint16_t> kept(const Features& f) {
  std::vector<uint16_t> columns;
  for (const auto& place : f.places) columns.push_back(place[1]);
  return columns;
}

TEST(PoolRows, AveragesSquaresOfNeighbours) {
  const Result<Features> pooled = pool_rows(grid(4, 6), 6);
  ASSERT_TRUE(pooled.ok()) << pooled.status().message();
  EXPECT_EQ(pooled->rows, 6u);
  EXPECT_EQ(pooled->blocks[0].height, 2u);
  EXPECT_EQ(pooled->blocks[0].width, 3u);
  EXPECT_EQ(pooled->values, (std::vector<float>{50.5f, 52.5f, 54.5f, 250.5f, 252.5f, 254.5f}));
  EXPECT_TRUE(pooled->places.empty()) << "the grid is whole";
}

TEST(PoolRows, SquaresAtTheEdgesHoldWhatIsThere) {
  const Result<Features> pooled = pool_rows(grid(3, 3), 4);
  ASSERT_TRUE(pooled.ok());
  EXPECT_EQ(pooled->values, (std::vector<float>{50.5f, 52.0f, 250.0f - 49.5f, 202.0f}));
}

TEST(PoolRows, TakesLargerSquaresUntilTheBudgetHolds) {
  for (uint32_t budget = 3; budget <= 3 * 64; ++budget) {
    const Result<Features> pooled = pool_rows(grid(8, 8, 3), budget);
    ASSERT_TRUE(pooled.ok());
    ASSERT_LE(pooled->rows, budget);
    ASSERT_TRUE(check_features(*pooled).ok());
    ASSERT_EQ(pooled->blocks.size(), 3u);
    double sum = 0;
    for (const float value : pooled->values) sum += value;
    ASSERT_GT(sum, 0.0);
  }
  EXPECT_EQ(pool_rows(grid(8, 8, 3), 3)->values, (std::vector<float>{353.5f, 1353.5f, 2353.5f})) << "one row a block";
  EXPECT_EQ(pool_rows(grid(8, 8, 3), 2).status().code(), Code::invalid_argument);
}

TEST(PoolRows, WithinTheBudgetNothingChanges) {
  const Features f = grid(5, 7);
  EXPECT_TRUE(same(*pool_rows(f, 0), f));
  EXPECT_TRUE(same(*pool_rows(f, 35), f));
  EXPECT_FALSE(same(*pool_rows(f, 34), f));
}

TEST(PoolRows, RowsThatWereLeftOutBeforeAreNotAveraged) {
  Features f = grid(2, 4);
  f.rows = 3;
  f.blocks[0].rows = 3;
  f.values = {10, 20, 40};
  f.places = {{0, 0}, {1, 1}, {1, 3}};
  const Result<Features> pooled = pool_rows(f, 2);
  ASSERT_TRUE(pooled.ok());
  EXPECT_EQ(pooled->values, (std::vector<float>{15, 40}));
  f.values = {10, 20};
  f.rows = f.blocks[0].rows = 2;
  f.places = {{0, 0}, {1, 1}};
  const Result<Features> sparse = pool_rows(f, 1);
  ASSERT_TRUE(sparse.ok());
  EXPECT_EQ(sparse->rows, 1u);
}

TEST(PruneRows, LeavesOutRowsThatAreLikeOthers) {
  // Three directions; the others repeat them in other lengths.
  const Features f = rows_of({{1, 0, 0}, {2, 0, 0}, {0, 3, 0}, {0.5f, 0, 0}, {0, 1, 0}, {0, 0, -1}});
  const Result<Features> pruned = prune_rows(f, 0.5f);
  ASSERT_TRUE(pruned.ok()) << pruned.status().message();
  EXPECT_EQ(kept(*pruned), (std::vector<uint16_t>{0, 2, 5})) << "one of each, of equals the first";
  EXPECT_EQ(pruned->values, (std::vector<float>{1, 0, 0, 0, 3, 0, 0, 0, -1}));
  EXPECT_TRUE(check_features(*pruned).ok());
  EXPECT_EQ(pruned->blocks[0].width, 6u) << "the grid before any was left out";
}

// The greedy choice by its definition, in double.
std::vector<uint16_t> by_definition(const Features& f, size_t count) {
  const auto cosine = [&](size_t a, size_t b) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < f.width; ++i) {
      const double x = f.values[a * f.width + i];
      const double y = f.values[b * f.width + i];
      ab += x * y, aa += x * x, bb += y * y;
    }
    return ab / std::sqrt(aa * bb);
  };
  std::vector<size_t> chosen;
  const auto nearest = [&](size_t row) {
    double best = -2;
    for (size_t other = 0; other < f.rows; ++other) {
      const bool counts = chosen.empty() || std::find(chosen.begin(), chosen.end(), other) != chosen.end();
      if (other != row && counts) best = std::max(best, cosine(row, other));
    }
    return best;
  };
  while (chosen.size() < count) {
    size_t best = f.rows;
    double best_cosine = 3;
    for (size_t row = 0; row < f.rows; ++row) {
      if (std::find(chosen.begin(), chosen.end(), row) != chosen.end()) continue;
      if (const double c = nearest(row); c < best_cosine) best = row, best_cosine = c;
    }
    chosen.push_back(best);
  }
  std::sort(chosen.begin(), chosen.end());
  return {chosen.begin(), chosen.end()};
}

TEST(PruneRows, ChoosesAsTheDefinitionDoes) {
  uint64_t random = 3;
  for (const uint32_t width : {3u, 16u, 37u}) {
    std::vector<std::vector<float>> rows(40, std::vector<float>(width));
    for (auto& row : rows) {
      for (float& value : row) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        value = static_cast<float>(static_cast<double>(random >> 40) / (1 << 23) - 1);
      }
    }
    const Features f = rows_of(rows);
    for (const float fraction : {0.1f, 0.5f, 0.9f}) {
      const Result<Features> pruned = prune_rows(f, fraction);
      ASSERT_TRUE(pruned.ok());
      const auto count = static_cast<size_t>(40 - std::floor(40 * fraction));
      EXPECT_EQ(kept(*pruned), by_definition(f, count)) << "width " << width << ", fraction " << fraction;
    }
  }
}

TEST(PruneRows, EveryBlockKeepsARow) {
  Features f = grid(1, 8, 4);  // one value a row: all alike
  for (const float fraction : {0.3f, 0.5f, 0.9f}) {
    const Result<Features> pruned = prune_rows(f, fraction);
    ASSERT_TRUE(pruned.ok());
    EXPECT_TRUE(check_features(*pruned).ok());
    EXPECT_EQ(pruned->rows, std::max<uint32_t>(4, 32 - static_cast<uint32_t>(32 * fraction)));
    EXPECT_EQ(pruned->blocks.size(), 4u);
  }
}

TEST(PruneRows, TwiceKeepsTheFirstPlaces) {
  const Features f = rows_of({{1, 0}, {1, 0.1f}, {0, 1}, {-1, 0}, {0, -1}, {1, 1}});
  const Features once = *prune_rows(f, 0.34f);
  const Features twice = *prune_rows(once, 0.5f);
  EXPECT_EQ(twice.rows, 2u);
  for (size_t row = 0; row < twice.rows; ++row) {
    for (size_t i = 0; i < 2; ++i) EXPECT_EQ(twice.values[row * 2 + i], f.values[size_t{twice.places[row][1]} * 2 + i]);
  }
}

TEST(PruneRows, RowsWithoutADirectionAreLikeNoOther) {
  const float nan = std::nanf("");
  const Features f = rows_of({{0, 0}, {1, 0}, {1, 0}, {nan, 1}, {1, 0}, {INFINITY, 0}});
  const Result<Features> pruned = prune_rows(f, 0.34f);
  ASSERT_TRUE(pruned.ok());
  EXPECT_EQ(kept(*pruned), (std::vector<uint16_t>{0, 1, 3, 5}));
}

TEST(PruneRows, AFractionOutsideItsRangeIsRefused) {
  const Features f = grid(2, 2);
  for (const float bad : {-0.1f, 0.91f, 1.0f, std::nanf(""), INFINITY}) {
    EXPECT_EQ(prune_rows(f, bad).status().code(), Code::invalid_argument) << bad;
  }
  EXPECT_TRUE(same(*prune_rows(f, 0), f));
  EXPECT_TRUE(same(*prune_rows(f, 0.2f), f)) << "less than a row";
  Features broken = f;
  broken.rows = 5;
  EXPECT_EQ(prune_rows(broken, 0.5f).status().code(), Code::corrupt);
  EXPECT_EQ(pool_rows(broken, 1).status().code(), Code::corrupt);
}

}  // namespace
}  // namespace kl
