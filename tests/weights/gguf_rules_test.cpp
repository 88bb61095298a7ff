// One case per rule: a file that breaks it and nothing else is refused, with a message that says so.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "support/gguf_writer.h"
#include "weights/gguf.h"

namespace kl {
namespace {

using test::GgufBytes;
using test::GgufWriter;

Status open(const std::vector<std::byte>& bytes, const GgufOptions& options = {}) { return Gguf::open_memory(bytes, options).status(); }
Status open(const GgufWriter& file) { return open(file.bytes()); }

// The error's code, and a part of its message.
void expect_refused(const Status& status, Code code, const std::string& part) {
  EXPECT_EQ(status.code(), code) << status.message();
  EXPECT_NE(status.message().find(part), std::string::npos) << "expected \"" << part << "\" in: " << status.message();
  EXPECT_NE(status.message().find("<memory>"), std::string::npos) << status.message();
}

// The file with one field set to a value.
std::vector<std::byte> with_field(const GgufWriter& file, const std::string& name, uint64_t value) {
  GgufBytes built = file.build();
  for (const GgufBytes::Field& field : built.fields) {
    if (field.name != name) continue;
    std::memcpy(built.bytes.data() + field.offset, &value, field.width);
    return built.bytes;
  }
  ADD_FAILURE() << "no field " << name;
  return {};
}

GgufWriter one_tensor(std::vector<uint64_t> dims = {32, 2}, Format format = Format::q8_0) {
  GgufWriter file;
  uint64_t n = 1;
  for (const uint64_t d : dims) n *= d;
  file.tensor("w", format, std::move(dims), std::vector<float>(n, 0.5f));
  return file;
}

// An array inside `depth` - 1 arrays, holding one u8.
GgufBytes nested(uint32_t depth) {
  GgufBytes out;
  for (uint32_t i = 1; i < depth; ++i) {
    out.number(static_cast<uint32_t>(MetaType::array));
    out.number<uint64_t>(1);
  }
  out.number(static_cast<uint32_t>(MetaType::u8));
  out.number<uint64_t>(1);
  out.number<uint8_t>(9);
  return out;
}

TEST(GgufRules, R1CountsAndLengthsAreHeldAgainstTheBytesLeft) {
  const GgufWriter file = one_tensor().ints("a", {1, 2}).strings("s", {"xy"});
  ASSERT_TRUE(open(file).ok()) << open(file).message();
  expect_refused(open(with_field(file, "tensor count", 1u << 30)), Code::corrupt, "tensor count: expected at most");
  expect_refused(open(with_field(file, "metadata count", 1u << 30)), Code::corrupt, "metadata count: expected at most");
  expect_refused(open(with_field(file, "a count", 1u << 30)), Code::corrupt, "array count: expected at most");
  expect_refused(open(with_field(file, "s count", 1u << 30)), Code::corrupt, "array count: expected at most");
  expect_refused(open(with_field(file, "s element length", 100000)), Code::corrupt, "array string: expected 100,000 bytes, got");
  expect_refused(open(with_field(file, "key a length", 60000)), Code::corrupt, "key: expected 60,000 bytes, got");
}

TEST(GgufRules, R2ProductsOfDimensionsDoNotWrap) {
  const std::vector<std::byte> none;
  const auto with_dims = [&](std::vector<uint64_t> dims, Format format) {
    GgufWriter file;
    file.raw_tensor("w", info(format).ggml_type, std::move(dims), std::vector<std::byte>(4096));
    return open(file);
  };
  expect_refused(with_dims({uint64_t{1} << 32, uint64_t{1} << 32}, Format::f32), Code::corrupt, "expected fewer than 2^64 values");
  expect_refused(with_dims({(uint64_t{1} << 42) + 1, uint64_t{1} << 22, 2, 1}, Format::f32), Code::corrupt,
                 "expected fewer than 2^64 values");
  expect_refused(with_dims({uint64_t{1} << 31, uint64_t{1} << 31, 1, 1}, Format::f32), Code::corrupt, "expected fewer than 2^64 bytes");
  expect_refused(with_dims({32, uint64_t{1} << 50}, Format::q8_0), Code::corrupt, "inside the file");
}

TEST(GgufRules, R3ALengthIsComparedBeforeItIsNarrowed) {
  const GgufWriter file = one_tensor().string("s", "xy");
  expect_refused(open(with_field(file, "s length", (uint64_t{1} << 32) + 2)), Code::corrupt, "string: expected 4,294,967,298 bytes");
  expect_refused(open(with_field(file, "tensor name length", (uint64_t{1} << 32) + 1)), Code::corrupt, "name: expected 1 to 255");
}

TEST(GgufRules, R4TensorsLieInsideTheFileAndOnTheAlignment) {
  expect_refused(open(one_tensor().offset(32)), Code::corrupt, "tensor \"w\": expected its 68 bytes inside the file");
  expect_refused(open(one_tensor().offset(UINT64_MAX - 31)), Code::corrupt, "inside the file");
  expect_refused(open(one_tensor().offset(uint64_t{1} << 62)), Code::corrupt, "inside the file");
  expect_refused(open(one_tensor().offset(16)), Code::corrupt, "offset: expected a multiple of the alignment 32, got 16");
  std::vector<std::byte> cut = one_tensor().bytes();
  cut.resize(cut.size() - 28 - 1);  // 28 bytes of padding, and one of data
  expect_refused(open(cut), Code::corrupt, "inside the file");
}

TEST(GgufRules, R5TypeNumbersAreInRangeAndTheAlignmentIsU32) {
  expect_refused(open(GgufWriter().raw("k", 13, nested(1))), Code::corrupt, "metadata \"k\": byte 33, type: expected 0 to 12, got 13");
  expect_refused(open(with_field(GgufWriter().ints("k", {1}), "k element type", 13)), Code::corrupt,
                 "array element type: expected 0 to 12, got 13");
  expect_refused(open(GgufWriter().u64("general.alignment", 32)), Code::corrupt, "\"general.alignment\": expected u32, got u64");
  expect_refused(open(GgufWriter().string("general.alignment", "32")), Code::corrupt, "expected u32, got string");
}

TEST(GgufRules, R5ALookUpOfAnotherTypeNamesBoth) {
  GgufWriter file;
  file.u32("u", 7)
      .i32("i", -7)
      .f32("f", 1)
      .string("s", "x")
      .boolean("b", true)
      .ints("ints", {1})
      .floats("floats", {1})
      .strings("strings", {"x"});
  file.array<uint64_t>("u64s", MetaType::u64, {1}).doubles("doubles", {1}).nested("nested", {{1}}).u64("huge", UINT64_MAX);
  const std::vector<std::byte> bytes = file.bytes();
  const auto gguf = Gguf::open_memory(bytes);
  ASSERT_TRUE(gguf.ok());
  const Metadata& meta = (*gguf)->metadata();
  const auto all_others_fail = [&](const std::vector<std::string>& good, auto look_up) {
    for (const char* key : {"u", "i", "f", "s", "b", "ints", "floats", "strings", "u64s", "doubles", "nested", "huge"}) {
      const Status status = look_up(key);
      const bool expected = std::find(good.begin(), good.end(), key) != good.end();
      EXPECT_EQ(status.ok(), expected) << key << ": " << status.message();
      if (!expected) {
        EXPECT_NE(status.message().find(", got "), std::string::npos) << status.message();
      }
    }
  };
  all_others_fail({"u", "huge"}, [&](const char* k) { return meta.find_uint(k, 0, UINT64_MAX).status(); });
  all_others_fail({"u"}, [&](const char* k) { return meta.find_uint(k, 7, 7).status(); });
  all_others_fail({}, [&](const char* k) { return meta.find_uint(k, 8, 9).status(); });
  all_others_fail({"f"}, [&](const char* k) { return meta.find_float(k, -1e9, 1e9).status(); });
  all_others_fail({"s"}, [&](const char* k) { return meta.find_string(k).status(); });
  all_others_fail({"b"}, [&](const char* k) { return meta.find_bool(k).status(); });
  all_others_fail({"ints"}, [&](const char* k) { return meta.find_ints(k).status(); });
  all_others_fail({"floats"}, [&](const char* k) { return meta.find_floats(k).status(); });
  all_others_fail({"strings"}, [&](const char* k) { return meta.find_strings(k).status(); });
  EXPECT_EQ(meta.find_string("u").status().message(), "metadata \"u\": expected string, got u32");
  EXPECT_FALSE(meta.find_uint("absent", 0, 1)->has_value());
  EXPECT_TRUE(meta.find_strings("absent")->empty());
  EXPECT_EQ(meta.need_uint("absent", 0, 1).status().code(), Code::not_found);
  EXPECT_EQ(meta.need_string("absent").status().code(), Code::not_found);
  EXPECT_EQ(meta.type_of("nested"), MetaType::array);
  EXPECT_FALSE(meta.has("absent"));
}

TEST(GgufRules, R8ValuesOutsideTheirRangeAreRefused) {
  for (const uint32_t alignment : {0u, 4u, 131072u, 0xffffffffu}) {
    expect_refused(open(GgufWriter().u32("general.alignment", alignment)), Code::corrupt,
                   "\"general.alignment\": expected 8 to 65,536, got");
  }
  expect_refused(open(GgufWriter().u32("general.alignment", 48)), Code::corrupt, "expected a power of two, got 48");
  for (const uint32_t alignment : {8u, 64u, 65536u}) {
    GgufWriter file;
    file.alignment(alignment).tensor("w", Format::f32, {3}, std::vector<float>(3)).tensor("v", Format::f32, {3}, std::vector<float>(3));
    EXPECT_TRUE(open(file).ok()) << alignment << ": " << open(file).message();
  }
  expect_refused(open(GgufWriter().raw_tensor("w", 0, {}, std::vector<std::byte>(32))), Code::corrupt, "rank: expected 1 to 4, got 0");
  expect_refused(open(GgufWriter().raw_tensor("w", 0, {1, 1, 1, 1, 1}, std::vector<std::byte>(32))), Code::corrupt,
                 "rank: expected 1 to 4, got 5");
  expect_refused(open(GgufWriter().raw_tensor("w", 0, {4, 0}, std::vector<std::byte>(32))), Code::corrupt, "dimension: expected 1 to");
  expect_refused(open(GgufWriter().u32("x", 1).raw_tensor("", 0, {4}, std::vector<std::byte>(32))), Code::corrupt,
                 "name: expected 1 to 255, got 0");
  expect_refused(open(GgufWriter().u32("", 1)), Code::corrupt, "key: expected 1 to 65,535, got 0");
  expect_refused(open(GgufWriter().u32("a\xc3\xa4", 1)), Code::corrupt, "key: expected printable ASCII, got \"a\\xc3\\xa4\"");
  expect_refused(open(GgufWriter().raw_tensor("a\n", 0, {1}, std::vector<std::byte>(32))), Code::corrupt, "name: expected printable ASCII");
  GgufBytes two;
  two.number<uint8_t>(2);
  expect_refused(open(GgufWriter().raw("b", static_cast<uint32_t>(MetaType::boolean), two)), Code::corrupt, "bool: expected 0 to 1, got 2");
  expect_refused(open(GgufWriter().booleans("b", {1, 3, 0})), Code::corrupt, "bool: expected 0 or 1, got 3");
}

TEST(GgufRules, R8AFloatOutsideItsRangeOrNaNIsRefused) {
  const std::vector<std::byte> bytes = GgufWriter().f32("one", 1.0f).f32("nan", std::nanf("")).f64("infinite", HUGE_VAL).bytes();
  const auto gguf = Gguf::open_memory(bytes);
  ASSERT_TRUE(gguf.ok());
  const Metadata& meta = (*gguf)->metadata();
  EXPECT_EQ(*meta.find_float("one", 1.0, 1.0), 1.0);
  EXPECT_EQ(meta.find_float("one", 1.5, 2.0).status().message(), "metadata \"one\": expected 1.5 to 2, got 1");
  EXPECT_EQ(meta.find_float("one", 0.0, 0.5).status().code(), Code::corrupt);
  EXPECT_EQ(meta.find_float("nan", -HUGE_VAL, HUGE_VAL).status().code(), Code::corrupt);
  EXPECT_EQ(meta.find_float("infinite", 0.0, 1e300).status().code(), Code::corrupt);
}

TEST(GgufRules, R9TheBudgetIsRefusedNotPassed) {
  const std::vector<std::byte> bytes = GgufWriter().ints("a", std::vector<int32_t>(1000)).bytes();
  EXPECT_TRUE(open(bytes, {.memory_budget = 9000}).ok());
  expect_refused(open(bytes, {.memory_budget = 8000}), Code::out_of_memory, "of the reader's budget of 8,000");
}

TEST(GgufRules, R11NestingHasALimit) {
  const auto file = [](uint32_t depth) { return GgufWriter().raw("n", static_cast<uint32_t>(MetaType::array), nested(depth)); };
  EXPECT_TRUE(open(file(kGgufMaxArrayDepth)).ok());
  expect_refused(open(file(kGgufMaxArrayDepth + 1)), Code::corrupt, "expected a nesting of at most 8, got 9");
  expect_refused(open(file(100000)), Code::corrupt, "expected a nesting of at most 8, got 9");
}

TEST(GgufRules, R16ShapesMatchBlocksAndTensorsLieBackToBack) {
  expect_refused(open(GgufWriter().raw_tensor("w", info(Format::q8_0).ggml_type, {33}, std::vector<std::byte>(64))), Code::corrupt,
                 "tensor \"w\": expected rows of a multiple of 32 values (q8_0), got 33");
  expect_refused(open(GgufWriter().raw_tensor("w", info(Format::q8_0).ggml_type, {16, 2}, std::vector<std::byte>(64))), Code::corrupt,
                 "expected rows of a multiple of 32 values");
  const std::vector<float> values(16, 1.0f);
  const auto two = [&] { return GgufWriter().tensor("a", Format::f32, {16}, values).tensor("b", Format::f32, {16}, values); };
  ASSERT_TRUE(open(two()).ok());
  expect_refused(open(two().offset(32)), Code::corrupt, "tensor \"b\" at byte");
  expect_refused(open(two().offset(32)), Code::corrupt, "overlaps tensor \"a\"");
  expect_refused(open(two().offset(0)), Code::corrupt, "overlaps");
  expect_refused(open(two().tensor("c", Format::f32, {16}, values).offset(160).tensor("d", Format::f32, {16}, values)), Code::corrupt,
                 "leaves a hole after tensor \"b\"");
  // Any order in the table is good as long as the places are.
  EXPECT_TRUE(open(GgufWriter().tensor("a", Format::f32, {16}, values).offset(64).tensor("b", Format::f32, {16}, values).offset(0)).ok());
}

TEST(GgufRules, R26KeysAndTensorNamesStandOnce) {
  expect_refused(open(GgufWriter().u32("twice", 1).u32("once", 1).string("twice", "x")), Code::corrupt,
                 "expected every key once, got \"twice\" twice");
  const std::vector<float> values(16, 1.0f);
  expect_refused(open(GgufWriter()
                          .tensor("w", Format::f32, {16}, values)
                          .tensor("v", Format::f32, {16}, values)
                          .tensor("w", Format::f16, {16}, values)),
                 Code::corrupt, "expected every tensor once, got \"w\" twice");
}

TEST(GgufRules, R30OtherVersionsAndByteOrdersAreNamed) {
  EXPECT_TRUE(open(GgufWriter(2).u32("a", 1)).ok());
  EXPECT_TRUE(open(GgufWriter(3).u32("a", 1)).ok());
  for (const uint32_t version : {0u, 1u, 4u, 0xffffffffu}) {
    expect_refused(open(GgufWriter(version)), Code::unsupported, "version: expected 2 or 3, got " + with_commas(version));
  }
  expect_refused(open(GgufWriter(0x03000000u)), Code::unsupported, "this is a big-endian GGUF file");
  expect_refused(open(GgufWriter(0x02000000u)), Code::unsupported, "this is a big-endian GGUF file");
  expect_refused(open(with_field(GgufWriter(), "magic", 0x67676a74)), Code::corrupt,
                 "magic: expected \"GGUF\", got \"tjgg\" (not a GGUF file)");
  expect_refused(open(std::vector<std::byte>{}), Code::corrupt, "magic: expected 4 bytes, got 0");
}

TEST(GgufRules, AnUnknownTensorTypeIsNamedWithItsNumberAndTensor) {
  expect_refused(open(GgufWriter().raw_tensor("blk.0.w", 10, {256}, std::vector<std::byte>(96))), Code::unsupported,
                 "tensor \"blk.0.w\": type 10 (q2_k) is not one this build reads");
  expect_refused(open(GgufWriter().raw_tensor("blk.0.w", 4, {256}, std::vector<std::byte>(96))), Code::unsupported, "type 4 (not known)");
  expect_refused(open(GgufWriter().raw_tensor("blk.0.w", UINT32_MAX, {256}, std::vector<std::byte>(96))), Code::unsupported,
                 "type 4,294,967,295");
}

}  // namespace
}  // namespace kl
