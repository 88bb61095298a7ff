// Content of a cache: where images stand, what that means for positions, spans and prefix keys.
#include "engine/content.h"

#include <gtest/gtest.h>

namespace kl {
namespace {

std::shared_ptr<const Features> image(uint8_t key, std::vector<FeatureBlock> blocks) {
  auto f = std::make_shared<Features>();
  f->key.bytes[0] = key;
  f->width = 2;
  for (const FeatureBlock& b : blocks) f->rows += b.rows;
  f->values.resize(size_t{2} * f->rows);
  f->blocks = std::move(blocks);
  return f;
}

Content with_image(const std::shared_ptr<const Features>& f, std::vector<int32_t> before, std::vector<int32_t> after) {
  Content c;
  c.push_tokens(before);
  for (size_t b = 0; b < f->blocks.size(); ++b) c.push_block(f, b, 9);
  c.push_tokens(after);
  return c;
}

constexpr ImageRules kGrid{.grid_positions = true, .bidirectional = false};
constexpr ImageRules kBothWays{.grid_positions = false, .bidirectional = true};
using Position = std::array<int32_t, 3>;

TEST(Content, TextAloneNeedsNothingBesideItsTokens) {
  Content c;
  c.push_tokens(std::vector<int32_t>{1, 2, 3});
  for (const ImageRules& rules : {ImageRules{}, kGrid, kBothWays}) {
    const StepRows rows = c.rows(0, 3, rules);
    EXPECT_TRUE(rows.positions.empty() && rows.spans.empty() && rows.features.empty());
  }
  EXPECT_EQ(c.position(7, kGrid), (Position{7, 7, 7}));
}

TEST(Content, AnImagesRowsHaveTheirPlaceInTheGridAndTextGoesOnBehindItsLongerSide) {
  const auto f = image(1, {{6, 2, 3}});
  Content c = with_image(f, {1, 2}, {3, 4});
  c.append(with_image(f, {}, {5}));
  EXPECT_EQ(c.position(1, kGrid), (Position{1, 1, 1}));
  EXPECT_EQ(c.position(2, kGrid), (Position{2, 2, 2}));
  EXPECT_EQ(c.position(4, kGrid), (Position{2, 2, 4}));
  EXPECT_EQ(c.position(7, kGrid), (Position{2, 3, 4}));
  EXPECT_EQ(c.position(8, kGrid), (Position{5, 5, 5}));   // 2 + max(2, 3)
  EXPECT_EQ(c.position(10, kGrid), (Position{7, 7, 7}));  // the second image
  EXPECT_EQ(c.position(15, kGrid), (Position{7, 8, 9}));
  EXPECT_EQ(c.position(16, kGrid), (Position{10, 10, 10}));
  EXPECT_EQ(c.position(17, kGrid), (Position{11, 11, 11}));  // what is generated next
  EXPECT_EQ(c.position(16, {}), (Position{16, 16, 16}));
  const StepRows rows = c.rows(8, 3, kGrid);
  ASSERT_EQ(rows.positions.size(), 3u);
  EXPECT_EQ(rows.positions[0], (Position{5, 5, 5}));
  ASSERT_EQ(rows.features.size(), 3u);
  EXPECT_EQ(rows.features[1], nullptr);
  EXPECT_EQ(rows.features[2], f->values.data());
}

TEST(Content, RowsThatWereLeftOutKeepTheOthersPlaces) {
  auto f = std::make_shared<Features>(*image(1, {{2, 2, 3}}));
  f->places = {{0, 2}, {1, 1}};
  const Content c = with_image(f, {1}, {2});
  EXPECT_EQ(c.position(1, kGrid), (Position{1, 1, 3}));
  EXPECT_EQ(c.position(2, kGrid), (Position{1, 2, 2}));
  EXPECT_EQ(c.position(3, kGrid), (Position{4, 4, 4}));
}

TEST(Content, ABlockSeesItselfBothWays) {
  const auto f = image(1, {{4, 2, 2}, {2, 1, 2}});
  const Content c = with_image(f, {1}, {2});
  const StepRows rows = c.rows(0, 8, kBothWays);
  const std::vector<std::array<uint32_t, 2>> spans{{0, 1}, {1, 5}, {1, 5}, {1, 5}, {1, 5}, {5, 7}, {5, 7}, {7, 8}};
  EXPECT_EQ(rows.spans, spans);
  const auto whole = whole_rows(c, 3, kBothWays);
  ASSERT_EQ(whole.size(), 2u);
  EXPECT_EQ(whole[0].first, 0u);
  EXPECT_EQ(whole[0].end, 2u);
  EXPECT_EQ(whole[1].first, 2u);
  EXPECT_EQ(whole[1].end, 4u);
  EXPECT_TRUE(whole_rows(c, 0, {}).empty());
  EXPECT_TRUE(check_blocks(c, kBothWays, 4).ok());
  EXPECT_EQ(check_blocks(c, kBothWays, 3).code(), Code::invalid_argument);
  EXPECT_TRUE(check_blocks(c, {}, 1).ok());
}

TEST(Content, PrefixItemsTellImagesFromTokensAndFromEachOther) {
  const auto a = image(1, {{2, 1, 2}}), b = image(2, {{2, 1, 2}});
  const auto items = [](const Content& c) { return c.items(); };
  const auto x = items(with_image(a, {9}, {9})), y = items(with_image(b, {9}, {9}));
  EXPECT_EQ(x[0], y[0]);
  EXPECT_NE(x[1], y[1]);
  EXPECT_NE(x[1], x[0]);  // although both show token 9
  EXPECT_NE(x[1], x[2]);
  EXPECT_EQ(x[3], x[0]);
  EXPECT_EQ(items(with_image(a, {1, 9}, {}))[2], x[1]);  // wherever it stands
}

TEST(Content, WhatTwoContentsShareEndsWhereImagesDiffer) {
  const auto a = image(1, {{4, 2, 2}}), same = image(1, {{4, 2, 2}}), b = image(2, {{4, 2, 2}});
  const Content c = with_image(a, {1, 2}, {3, 4});
  EXPECT_EQ(c.common(with_image(same, {1, 2}, {3, 4}), 100), 8u);
  EXPECT_EQ(c.common(with_image(same, {1, 2}, {3, 4}), 5), 5u);
  EXPECT_EQ(c.common(with_image(same, {1, 2}, {3, 5}), 100), 7u);
  EXPECT_EQ(c.common(with_image(b, {1, 2}, {3, 4}), 100), 2u);
  EXPECT_EQ(c.common(with_image(a, {1}, {3, 4}), 100), 1u);
  Content tokens;  // the ids that stand for the rows are no rows
  tokens.push_tokens(c.tokens());
  EXPECT_EQ(c.common(tokens, 100), 2u);
  EXPECT_EQ(tokens.common(c, 100), 2u);
  Content cut = c;
  cut.resize(4);
  cut.push_tokens(std::vector<int32_t>{9, 9, 3, 4});
  EXPECT_EQ(c.common(cut, 100), 4u);
  EXPECT_EQ(cut.common(c, 100), 4u);
}

TEST(Content, FollowingInPiecesOfAnySizeGivesTheWhole) {
  const Content whole = [&] {
    Content c = with_image(image(1, {{4, 2, 2}, {3, 1, 3}}), {1, 2}, {3});
    c.append(with_image(image(2, {{1, 1, 1}}), {4}, {}));
    return c;
  }();
  for (size_t piece = 1; piece <= whole.size(); ++piece) {
    Content c;
    c.reserve_for(whole, whole.size());
    while (c.size() < whole.size()) c.follow(whole, std::min(piece, whole.size() - c.size()));
    EXPECT_EQ(c.items(), whole.items()) << piece;
    EXPECT_EQ(c.common(whole, 100), whole.size()) << piece;
    for (size_t slot = 0; slot <= whole.size(); ++slot) EXPECT_EQ(c.position(slot, kGrid), whole.position(slot, kGrid)) << piece;
  }
  for (size_t cut = 0; cut <= whole.size(); ++cut) {
    Content c = whole;
    c.resize(cut);
    Content front;
    front.assign_front(whole, cut);
    EXPECT_EQ(c.items(), front.items());
    c.follow(whole, whole.size() - cut);
    EXPECT_EQ(c.items(), whole.items()) << cut;
  }
}

}  // namespace
}  // namespace kl
