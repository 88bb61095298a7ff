// The checked reader: what it reads, and that each rule it stands for holds.
#include "core/reader.h"

#include <gtest/gtest.h>

#include <string>

#include "core/quote.h"

namespace kl {
namespace {

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> out;
  for (const int v : values) out.push_back(static_cast<std::byte>(v));
  return out;
}

TEST(Reader, NumbersAreLittleEndianAndAdvanceThePosition) {
  const auto bytes = bytes_of({0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0, 0, 0x80, 0x3f});
  Reader reader(bytes);
  EXPECT_EQ(*reader.u8("a"), 0x01u);
  EXPECT_EQ(*reader.u16("b"), 0x0302u);
  EXPECT_EQ(*reader.u32("c"), 0x07060504u);
  EXPECT_EQ(*reader.u64("d"), 0x0f0e0d0c0b0a0908u);
  EXPECT_EQ(*reader.f32("e"), 1.0f);
  EXPECT_EQ(reader.offset(), 19u);
  EXPECT_EQ(reader.remaining(), 0u);
}

TEST(Reader, AFailureNamesByteFieldExpectedAndGot) {
  const auto bytes = bytes_of({1, 2, 3, 4, 5});
  Reader reader(bytes);
  ASSERT_TRUE(reader.u32("first").ok());
  EXPECT_EQ(reader.u32("second").status().message(), "byte 4, second: expected 4 bytes, got 1 until the end of the file");
  EXPECT_EQ(reader.offset(), 4u);
  EXPECT_EQ(reader.u32("second").status().code(), Code::corrupt);
}

TEST(Reader, NumbersOutsideTheirRangeAreRefused) {
  const auto bytes = bytes_of({5, 0, 0, 0});
  for (const auto& [min, max, ok] : {std::tuple{5u, 5u, true}, std::tuple{6u, 9u, false}, std::tuple{0u, 4u, false}}) {
    Reader reader(bytes);
    const Result<uint32_t> value = reader.number_in<uint32_t>("x", min, max);
    EXPECT_EQ(value.ok(), ok) << min;
    if (!ok) {
      EXPECT_EQ(value.status().message(), format("byte 0, x: expected %u to %u, got 5", min, max));
    }
  }
}

TEST(Reader, ACountIsHeldAgainstTheBytesThatAreLeft) {
  std::vector<std::byte> bytes(8 + 32);
  for (const auto& [count, ok] : {std::pair<uint64_t, bool>{4, true}, {5, false}, {UINT64_MAX, false}, {uint64_t{1} << 61, false}}) {
    std::memcpy(bytes.data(), &count, 8);  // the tests run on little-endian machines
    Reader reader(bytes);
    EXPECT_EQ(reader.count("n", 8).ok(), ok) << count;
  }
}

TEST(Reader, AStringLengthIsComparedBeforeItIsNarrowed) {
  std::vector<std::byte> bytes(8 + 4, std::byte{'a'});
  for (const auto& [length, ok] :
       {std::pair<uint64_t, bool>{4, true}, {0, true}, {5, false}, {(uint64_t{1} << 32) + 4, false}, {UINT64_MAX, false}}) {
    std::memcpy(bytes.data(), &length, 8);
    Reader reader(bytes);
    const Result<std::string_view> text = reader.string("s");
    EXPECT_EQ(text.ok(), ok) << length;
    if (ok) {
      EXPECT_EQ(*text, std::string(length, 'a'));
    }
    Reader limited(bytes);
    EXPECT_FALSE(limited.string("s", 1, 3).ok());
  }
}

TEST(Reader, ElementCountsTimesSizesDoNotWrap) {
  const auto bytes = bytes_of({1, 2, 3, 4, 5, 6, 7, 8});
  for (const uint64_t n : {UINT64_MAX, uint64_t{1} << 61, uint64_t{1} << 62, (uint64_t{1} << 61) + 1}) {
    Reader reader(bytes);
    EXPECT_FALSE(reader.take("a", n, 8).ok()) << n;
    std::vector<uint64_t> out;
    EXPECT_FALSE((reader.numbers<uint64_t>("a", n, out)).ok());
    EXPECT_EQ(out.capacity(), 0u) << "nothing may be allocated for a count that does not fit";
  }
  Reader reader(bytes);
  std::vector<int64_t> out;
  ASSERT_TRUE((reader.numbers<int16_t>("a", 4, out)).ok());
  EXPECT_EQ(out, (std::vector<int64_t>{0x0201, 0x0403, 0x0605, 0x0807}));
}

TEST(Reader, AHeadThatIsTooShortSaysHowLongItMustBe) {
  const auto bytes = bytes_of({1, 2, 3, 4, 5, 6});
  Reader reader(bytes, 100);
  ASSERT_TRUE(reader.u32("a").ok());
  EXPECT_EQ(reader.remaining(), 96u);
  EXPECT_FALSE(reader.u32("b").ok());
  EXPECT_EQ(reader.wanted(), 8u);
  Reader beyond(bytes, 100);
  EXPECT_FALSE(beyond.take("c", 101, 1).ok());
  EXPECT_EQ(beyond.wanted(), 0u) << "no head can help: the region ends before";
}

TEST(Reader, WalkingStringsChecksEachAndDoesNotMove) {
  std::vector<std::byte> bytes(2 * 8 + 3);
  bytes[0] = std::byte{1};
  bytes[9] = std::byte{2};
  Reader reader(bytes);
  EXPECT_TRUE(reader.walk_strings("s", 2).ok());
  EXPECT_EQ(reader.offset(), 0u);
  EXPECT_FALSE(reader.walk_strings("s", 3).ok());
  bytes[9] = std::byte{3};
  Reader shorter(bytes);
  EXPECT_NE(shorter.walk_strings("s", 2).message().find("string 1 of 2"), std::string::npos);
}

TEST(Reader, TheBudgetRefusesBeforeAnythingIsAllocated) {
  MemoryBudget budget(100);
  EXPECT_TRUE(budget.take("a", 10, 8).ok());
  EXPECT_EQ(budget.left(), 20u);
  EXPECT_EQ(budget.take("b", 3, 8).code(), Code::out_of_memory);
  EXPECT_EQ(budget.take("c", UINT64_MAX, 8).code(), Code::out_of_memory);
  EXPECT_EQ(budget.take("d", uint64_t{1} << 61, 8).code(), Code::out_of_memory) << "the product is 2^64, not 0";
  EXPECT_EQ(budget.taken(), 80u);
  EXPECT_TRUE(budget.take("e", 20, 1).ok());
}

TEST(Reader, DepthIsCountedAndReleased) {
  uint32_t depth = 0;
  const DepthGuard one(depth);
  {
    const DepthGuard two(depth);
    EXPECT_TRUE(two.check("x", 2).ok());
    EXPECT_FALSE(two.check("x", 1).ok());
  }
  EXPECT_EQ(depth, 1u);
}

TEST(Quote, MessagesHoldPrintableAsciiOnly) {
  EXPECT_EQ(kl::quoted("blk.0"), "\"blk.0\"");
  EXPECT_EQ(kl::quoted(std::string_view("a\0\n\xff\"\\", 6)), "\"a\\x00\\x0a\\xff\\\"\\\\\"");
  EXPECT_EQ(kl::quoted(std::string(200, 'x')), "\"" + std::string(80, 'x') + "\"...");
}

}  // namespace
}  // namespace kl
