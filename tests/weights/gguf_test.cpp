// What a good file gives: every metadata type, every tensor format, the four ways of opening.
#include "weights/gguf.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/file.h"
#include "support/gguf_writer.h"
#include "support/temp_folder.h"
#include "weights/small_file.h"

namespace kl {
namespace {

using test::GgufWriter;
using test::small_file;
using test::TempFolder;

TEST(Gguf, EveryMetadataTypeIsReadBack) {
  const std::vector<std::byte> bytes = small_file().bytes();
  const auto gguf = Gguf::open_memory(bytes);
  ASSERT_TRUE(gguf.ok()) << gguf.status().message();
  const Metadata& meta = (*gguf)->metadata();
  EXPECT_EQ(*meta.need_uint("t.u8", 0, 255), 200u);
  EXPECT_EQ(std::get<int64_t>(*meta.find("t.i8")), -7);
  EXPECT_EQ(*meta.need_uint("t.u16", 0, UINT64_MAX), 60000u);
  EXPECT_EQ(std::get<int64_t>(*meta.find("t.i16")), -30000);
  EXPECT_EQ(*meta.need_uint("t.u32", 0, UINT64_MAX), 4000000000u);
  EXPECT_EQ(std::get<int64_t>(*meta.find("t.i32")), -2000000000);
  EXPECT_EQ(*meta.need_uint("t.u64", 0, UINT64_MAX), UINT64_MAX);
  EXPECT_EQ(std::get<int64_t>(*meta.find("t.i64")), INT64_MIN);
  EXPECT_EQ(**meta.find_float("t.f32", -1, 1), 0.25);
  EXPECT_EQ(**meta.find_float("t.f64", -1, 1), -0.1);
  EXPECT_EQ(**meta.find_bool("t.bool"), true);
  EXPECT_EQ(*meta.need_string("general.architecture"), "test");
  EXPECT_EQ((*meta.find_strings("t.strings"))[1], std::string_view("b\0c", 3));
  EXPECT_EQ((*meta.find_strings("t.strings")).size(), 3u);
  EXPECT_EQ((*meta.find_floats("t.floats"))[2], -3.5f);
  EXPECT_EQ((*meta.find_ints("t.ints"))[1], -2);
  EXPECT_EQ((*meta.find_ints("t.uints"))[1], 4294967295);
  EXPECT_EQ((*meta.find_ints("t.bools"))[0], 1);
  const auto& nested = std::get<std::shared_ptr<const MetaArray>>(*meta.find("t.nested"));
  ASSERT_EQ(nested->arrays.size(), 2u);
  EXPECT_EQ(nested->arrays[0]->ints, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(nested->arrays[1]->ints, (std::vector<int64_t>{}));
  EXPECT_EQ(std::get<std::shared_ptr<const MetaArray>>(*meta.find("t.doubles"))->doubles, (std::vector<double>{0.5}));
  EXPECT_EQ(std::get<std::shared_ptr<const MetaArray>>(*meta.find("t.u64s"))->unsigneds, (std::vector<uint64_t>{UINT64_MAX}));
}

}  // namespace
}  // namespace kl
