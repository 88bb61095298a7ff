// An entry's bytes: what comes back is what went in, to the bit, or an error.
#include "vision/feature_file.h"

#include <gtest/gtest.h>

#include "core/hash.h"
#include "feature_support.h"

namespace kl {
namespace {

using test::same;
using test::some_features;
using test::some_key;

std::vector<std::byte> encoded(const Features& features) {
  Result<std::vector<std::byte>> bytes = encode_features(features);
  EXPECT_TRUE(bytes.ok()) << bytes.status().message();
  return bytes.ok() ? *bytes : std::vector<std::byte>();
}

// Two tiles of which rows were left out.
Features pruned() {
  Features f = some_features(7, 5, 3);
  f.blocks = {{2, 2, 2}, {3, 4, 1}};
  f.places = {{0, 1}, {1, 0}, {0, 0}, {2, 0}, {3, 0}};
  f.grid_rows = 1;
  f.grid_columns = 1;
  return f;
}

void write_checksum(std::vector<std::byte>& bytes) {
  const Hash128 sum = hash128(std::span(bytes).first(bytes.size() - 16));
  std::memcpy(bytes.data() + bytes.size() - 16, &sum.low, 8);
  std::memcpy(bytes.data() + bytes.size() - 8, &sum.high, 8);
}

TEST(FeatureFile, GivesBackEveryBit) {
  for (const Features& f : {some_features(1), some_features(2, 1, 1), some_features(3, 64, 576), pruned()}) {
    const std::vector<std::byte> bytes = encoded(f);
    EXPECT_EQ(bytes.size(), feature_file_bytes(f));
    const Result<Features> back = decode_features(bytes, f.key);
    ASSERT_TRUE(back.ok()) << back.status().message();
    EXPECT_TRUE(same(*back, f));
  }
}

TEST(FeatureFile, EveryFlippedBitIsAnError) {
  const Features f = pruned();
  std::vector<std::byte> bytes = encoded(f);
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      bytes[at] ^= static_cast<std::byte>(1 << bit);
      EXPECT_FALSE(decode_features(bytes, f.key).ok()) << "byte " << at << " bit " << bit;
      bytes[at] ^= static_cast<std::byte>(1 << bit);
    }
  }
  EXPECT_TRUE(decode_features(bytes, f.key).ok());
}

TEST(FeatureFile, EveryOtherLengthIsAnError) {
  const Features f = pruned();
  std::vector<std::byte> bytes = encoded(f);
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode_features(std::span(bytes).first(length), f.key).ok()) << length;
  }
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(decode_features(bytes, f.key).ok());
  write_checksum(bytes);
  EXPECT_FALSE(decode_features(bytes, f.key).ok()) << "a hole before the checksum";
}

TEST(FeatureFile, AnotherKeyOrVersionIsAnError) {
  const Features f = some_features(1);
  std::vector<std::byte> bytes = encoded(f);
  EXPECT_EQ(decode_features(bytes, some_key(2)).status().code(), Code::corrupt);
  bytes[8] = std::byte{2};
  write_checksum(bytes);
  EXPECT_EQ(decode_features(bytes, f.key).status().code(), Code::unsupported);
}

// R1, R2, R4, R16: numbers that lie, under a checksum that is right.
TEST(FeatureFile, ANumberThatContradictsTheBytesIsAnErrorBeforeAnythingIsAllocated) {
  const Features f = pruned();
  const std::vector<std::byte> good = encoded(f);
  constexpr uint32_t kBlocksAt = 76, kPlacesAt = kBlocksAt + 2 * 12;
  std::vector<size_t> fields = {12, 16, 20, 24};  // rows, width, blocks, places
  for (size_t at = kBlocksAt; at < kPlacesAt; at += 4) fields.push_back(at);
  size_t refused = 0;
  for (const size_t at : fields) {
    uint32_t truth = 0;
    std::memcpy(&truth, good.data() + at, 4);
    for (const uint32_t lie :
         {0u, 1u, truth - 1, truth + 1, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu, 0x40000000u, 0x55555556u, 0xCCCCCCCDu}) {
      if (lie == truth) continue;
      std::vector<std::byte> bytes = good;
      std::memcpy(bytes.data() + at, &lie, 4);
      write_checksum(bytes);
      const Result<Features> read = decode_features(bytes, f.key);
      // A grid may be larger than its rows need; nothing else may differ.
      const bool grid = at >= kBlocksAt && (at - kBlocksAt) % 12 != 0;
      EXPECT_TRUE(!read.ok() || (grid && lie > truth)) << "byte " << at << " says " << lie;
      refused += read.ok() ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 60u);
}

TEST(FeatureFile, FeaturesThatContradictThemselvesAreNotWritten) {
  const auto refused = [](auto change) {
    Features f = pruned();
    change(f);
    return encode_features(f).status().code() == Code::corrupt;
  };
  EXPECT_FALSE(refused([](Features&) {}));
  EXPECT_TRUE(refused([](Features& f) { f.rows = 6; }));
  EXPECT_TRUE(refused([](Features& f) { f.values.pop_back(); }));
  EXPECT_TRUE(refused([](Features& f) { f.places.pop_back(); }));
  EXPECT_TRUE(refused([](Features& f) { f.places.clear(); })) << "rows are missing and nothing says which";
  EXPECT_TRUE(refused([](Features& f) { f.places[0] = {2, 0}; }));
  EXPECT_TRUE(refused([](Features& f) { f.places[0] = {0, 2}; }));
  EXPECT_TRUE(refused([](Features& f) { f.blocks.pop_back(); }));
  EXPECT_TRUE(refused([](Features& f) { f.blocks[0].rows = 1; }));
  EXPECT_TRUE(refused([](Features& f) { f.blocks.push_back({0, 1, 1}); }));
  EXPECT_TRUE(refused([](Features& f) { f.blocks[0].height = 0; }));
  EXPECT_TRUE(refused([](Features& f) { f = Features(); }));
}

}  // namespace
}  // namespace kl
