// Keys: what decides the rows decides the key, and nothing else does.
#include "vision/feature_key.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace kl {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

FeatureKey hash_of(const std::vector<std::pair<std::string, std::string>>& fields, std::string_view purpose = "test") {
  Result<KeyHasher> hasher = KeyHasher::begin(purpose);
  EXPECT_TRUE(hasher.ok()) << hasher.status().message();
  for (const auto& [label, value] : fields) hasher->field(label, std::string_view(value));
  return hasher->finish();
}

// Python: import hashlib, struct
//         f = lambda l, b: struct.pack('<Q', len(l)) + l + struct.pack('<Q', len(b)) + b
//         hashlib.blake2b(f(b'purpose', b'test') + f(b'spec', b'stretch') + f(b'width', struct.pack('<Q', 640)), digest_size=32).hexdigest()
TEST(FeatureKey, IsBlake2bOverLabelledFieldsWithTheirLengths) {
  Result<KeyHasher> hasher = KeyHasher::begin("test");
  ASSERT_TRUE(hasher.ok());
  hasher->field("spec", "stretch");
  hasher->field("width", uint64_t{640});
  EXPECT_EQ(hasher->finish().hex(), "17da7e602cd71c6480bd33767b26998f6ca5fbbd77b0f7b85908011736fb2fca");
}

TEST(FeatureKey, NoTwoListsOfFieldsShareAnEncoding) {
  const std::vector<std::vector<std::pair<std::string, std::string>>> lists = {
      {},
      {{"", ""}},
      {{"", ""}, {"", ""}},
      {{"ab", "c"}},
      {{"a", "bc"}},
      {{"a", "b"}, {"c", ""}},
      {{"abc", ""}},
      {{"a", ""}, {"bc", ""}},
      {{"c", "ab"}},
      {{"a", std::string("b\0\0\0\0\0\0\0\1c\0\0\0\0\0\0\0\0", 18)}},  // an encoding within a value
  };
  std::set<FeatureKey> keys;
  for (const auto& list : lists) EXPECT_TRUE(keys.insert(hash_of(list)).second);
  EXPECT_TRUE(keys.insert(hash_of({{"a", "bc"}}, "other")).second) << "keys of two purposes are apart";
  EXPECT_EQ(hash_of({{"a", "bc"}}), hash_of({{"a", "bc"}}));
}

TEST(FeatureKey, AFieldMayComeInPieces) {
  Result<KeyHasher> pieces = KeyHasher::begin("test");
  ASSERT_TRUE(pieces.ok());
  pieces->open_field("a", 3);
  pieces->add(bytes("b"));
  pieces->add(bytes("cd"));
  EXPECT_EQ(pieces->finish(), hash_of({{"a", "bcd"}}));
}

class PictureKey : public ::testing::Test {
 protected:
  static constexpr uint32_t kWidth = 5, kHeight = 3;
  PictureKey() : rgb_(size_t{kWidth} * kHeight * 3) {
    for (size_t i = 0; i < rgb_.size(); ++i) rgb_[i] = static_cast<uint8_t>(i * 37 + 11);
  }
  FeatureRecipe recipe() const { return {"stretch 512", 64, 0.5f, bytes(encoder_)}; }
  static FeatureKey key(const PixelView& view, const FeatureRecipe& recipe, bool premultiplied = false) {
    const Result<FeatureKey> key = feature_key(view, premultiplied, recipe);
    EXPECT_TRUE(key.ok()) << key.status().message();
    return key.ok() ? *key : FeatureKey{};
  }
  // The picture's lines in another format, `gap` bytes apart; alpha as given.
  std::vector<uint8_t> as(PixelFormat format, size_t gap, uint8_t alpha = 255) const {
    const size_t n = channels(format);
    std::vector<uint8_t> out(kHeight * (kWidth * n + gap), 0xEE);
    for (size_t y = 0; y < kHeight; ++y) {
      for (size_t x = 0; x < kWidth; ++x) {
        const uint8_t* from = &rgb_[(y * kWidth + x) * 3];
        uint8_t* to = &out[y * (kWidth * n + gap) + x * n];
        const bool blue_first = format == PixelFormat::bgr8 || format == PixelFormat::bgra8;
        for (size_t c = 0; c < 3; ++c) to[c] = from[blue_first ? 2 - c : c];
        if (n == 4) to[3] = alpha;
      }
    }
    return out;
  }
  static PixelView view(const std::vector<uint8_t>& pixels, PixelFormat format, size_t gap) {
    return {reinterpret_cast<const std::byte*>(pixels.data()), kWidth, kHeight, kWidth * channels(format) + gap, format};
  }
  FeatureKey plain() const { return key(view(rgb_, PixelFormat::rgb8, 0), recipe()); }

  std::string encoder_ = "encoder";
  std::vector<uint8_t> rgb_;
};

TEST_F(PictureKey, DoesNotDependOnHowThePixelsLieInMemory) {
  for (const PixelFormat format : {PixelFormat::rgb8, PixelFormat::bgr8, PixelFormat::rgba8, PixelFormat::bgra8}) {
    for (const size_t gap : {0, 1, 64}) {
      const std::vector<uint8_t> pixels = as(format, gap);
      EXPECT_EQ(key(view(pixels, format, gap), recipe()), plain()) << static_cast<int>(format) << " with gaps of " << gap;
    }
  }
  const std::vector<uint8_t> grey = {1, 2, 3, 250, 0, 9};
  std::vector<uint8_t> spread;
  for (const uint8_t g : grey) spread.insert(spread.end(), 3, g);
  const PixelView as_grey{reinterpret_cast<const std::byte*>(grey.data()), 3, 2, 3, PixelFormat::gray8};
  const PixelView as_rgb{reinterpret_cast<const std::byte*>(spread.data()), 3, 2, 9, PixelFormat::rgb8};
  EXPECT_EQ(key(as_grey, recipe()), key(as_rgb, recipe()));
}

TEST_F(PictureKey, LinesLongerThanItsBufferAreHashedWhole) {
  std::vector<uint8_t> bgr(size_t{3} * 10'000);
  for (size_t i = 0; i < bgr.size(); ++i) bgr[i] = static_cast<uint8_t>(i * 7 + i / 251);
  std::vector<uint8_t> rgb = bgr;
  for (size_t i = 0; i < rgb.size(); i += 3) std::swap(rgb[i], rgb[i + 2]);
  const auto line = [](const std::vector<uint8_t>& p, PixelFormat format) {
    return PixelView{reinterpret_cast<const std::byte*>(p.data()), 10'000, 1, p.size(), format};
  };
  EXPECT_EQ(key(line(bgr, PixelFormat::bgr8), recipe()), key(line(rgb, PixelFormat::rgb8), recipe()));
  bgr.back() ^= 1;
  EXPECT_NE(key(line(bgr, PixelFormat::bgr8), recipe()), key(line(rgb, PixelFormat::rgb8), recipe()));
}

TEST_F(PictureKey, WhatDecidesTheRowsDecidesTheKey) {
  std::set<FeatureKey> keys = {plain()};
  const auto is_new = [&](const FeatureKey& key) { return keys.insert(key).second; };
  for (size_t i = 0; i < rgb_.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      rgb_[i] = static_cast<uint8_t>(rgb_[i] ^ 1 << bit);
      EXPECT_TRUE(is_new(plain())) << "bit " << bit << " of byte " << i;
      rgb_[i] = static_cast<uint8_t>(rgb_[i] ^ 1 << bit);
    }
  }
  const PixelView turned{reinterpret_cast<const std::byte*>(rgb_.data()), kHeight, kWidth, size_t{kHeight} * 3, PixelFormat::rgb8};
  EXPECT_TRUE(is_new(key(turned, recipe()))) << "the same bytes, 3 x 5";
  const PixelView picture = view(rgb_, PixelFormat::rgb8, 0);
  FeatureRecipe r = recipe();
  r.spec = "stretch 513";
  EXPECT_TRUE(is_new(key(picture, r)));
  r = recipe();
  r.max_rows = 65;
  EXPECT_TRUE(is_new(key(picture, r)));
  r = recipe();
  r.prune = 0.25f;
  EXPECT_TRUE(is_new(key(picture, r)));
  encoder_ = "encoder of another kind";
  EXPECT_TRUE(is_new(key(picture, recipe())));
}

TEST_F(PictureKey, PixelsThatAreNotOpaqueAreAPictureOfTheirOwn) {
  const std::vector<uint8_t> half = as(PixelFormat::rgba8, 0, 128);
  const FeatureKey straight = key(view(half, PixelFormat::rgba8, 0), recipe());
  EXPECT_NE(straight, plain());
  EXPECT_NE(straight, key(view(half, PixelFormat::rgba8, 0), recipe(), true)) << "premultiplied pixels look different";
  const std::vector<uint8_t> swapped = as(PixelFormat::bgra8, 7, 128);
  EXPECT_EQ(straight, key(view(swapped, PixelFormat::bgra8, 7), recipe()));
  const std::vector<uint8_t> opaque = as(PixelFormat::rgba8, 0);
  EXPECT_EQ(key(view(opaque, PixelFormat::rgba8, 0), recipe(), true), plain()) << "opaque pixels look the same either way";
}

TEST_F(PictureKey, AnEmptyViewIsRefused) {
  const PixelView good = view(rgb_, PixelFormat::rgb8, 0);
  const auto refused = [&](auto change) {
    PixelView bad = good;
    change(bad);
    return feature_key(bad, false, recipe()).status().code() == Code::invalid_argument;
  };
  EXPECT_FALSE(refused([](PixelView&) {}));
  EXPECT_TRUE(refused([](PixelView& v) { v.data = nullptr; }));
  EXPECT_TRUE(refused([](PixelView& v) { v.width = 0; }));
  EXPECT_TRUE(refused([](PixelView& v) { v.height = 0; }));
  EXPECT_TRUE(refused([](PixelView& v) { v.stride = size_t{3} * kWidth - 1; }));
}

TEST_F(PictureKey, AFilesKeyIsOfItsBytesAndTheRecipe) {
  const auto source = [&](std::string_view file) { return *source_key(bytes(file), recipe()); };
  std::set<FeatureKey> keys = {source("file"), source("filf"), source("file "), source("")};
  EXPECT_EQ(keys.size(), 4u);
  EXPECT_EQ(source("file"), source("file"));
  encoder_ += "'";
  EXPECT_FALSE(keys.contains(source("file")));
  FeatureRecipe negative_zero = recipe();
  FeatureRecipe zero = recipe();
  zero.prune = 0.0f;
  negative_zero.prune = -0.0f;
  EXPECT_EQ(*source_key(bytes("file"), zero), *source_key(bytes("file"), negative_zero));
}

TEST(FeatureKey, HexIsReadBackAndNothingElseIs) {
  const FeatureKey key = hash_of({{"a", "b"}});
  const std::string hex = key.hex();
  EXPECT_EQ(hex.size(), 64u);
  EXPECT_EQ(key_from_hex(hex), key);
  std::string upper = hex;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const std::string& bad :
       {std::string(), hex.substr(1), hex + "0", upper, "../" + hex.substr(3), hex.substr(1) + "g", hex.substr(1) + " "}) {
    EXPECT_EQ(key_from_hex(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace kl
