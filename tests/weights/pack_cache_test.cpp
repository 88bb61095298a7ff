// The pack cache gives back exactly what was written, or nothing (R19 to R21).
#include "weights/pack_cache.h"

#include <gtest/gtest.h>

#include <fstream>
#include <vector>

#include "support/temp_folder.h"

namespace kl {
namespace {

using test::TempFolder;

std::vector<std::byte> some_payload() {
  std::vector<std::byte> payload(5000);
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>(i * 131 + i / 7);
  return payload;
}

void flip(const std::string& path, uint64_t at, int bit) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  const int byte = file.get();
  file.seekp(static_cast<std::streamoff>(at));
  file.put(static_cast<char>(byte ^ (1 << bit)));
}

TEST(PackCache, GivesBackWhatWasWrittenAlignedForHugePages) {
  const TempFolder folder;
  const std::string path = pack_cache_path(folder.path(), "key");
  EXPECT_EQ(open_pack_cache(path, "key", 5000).status().code(), Code::not_found);
  const auto payload = some_payload();
  ASSERT_TRUE(write_pack_cache(path, "key", payload).ok());
  const auto hit = open_pack_cache(path, "key", payload.size());
  ASSERT_TRUE(hit.ok()) << hit.status().message();
  EXPECT_TRUE(hit->file->is_mapped());
  EXPECT_TRUE(std::equal(payload.begin(), payload.end(), hit->payload.begin(), hit->payload.end()));
  EXPECT_EQ(static_cast<uint64_t>(hit->payload.data() - hit->file->bytes().data()) % kPackCacheAlignment, 0u);
}

TEST(PackCache, AnotherKeyOrSizeIsAMiss) {
  const TempFolder folder;
  const std::string path = pack_cache_path(folder.path(), "key");
  ASSERT_TRUE(write_pack_cache(path, "key", some_payload()).ok());
  EXPECT_FALSE(open_pack_cache(path, "kez", 5000).ok());
  EXPECT_FALSE(open_pack_cache(path, "key and more", 5000).ok());
  EXPECT_FALSE(open_pack_cache(path, "key", 4999).ok());
  EXPECT_NE(pack_cache_path(folder.path(), "key"), pack_cache_path(folder.path(), "kez"));
}

TEST(PackCache, EveryFlippedBitOfHeaderAndKeyAndAnyOfThePayloadIsAMiss) {
  const TempFolder folder;
  const std::string path = pack_cache_path(folder.path(), "key");
  ASSERT_TRUE(write_pack_cache(path, "key", some_payload()).ok());
  const auto missed = [&](uint64_t at, int bit) {
    flip(path, at, bit);
    const bool ok = open_pack_cache(path, "key", 5000).ok();
    flip(path, at, bit);
    return !ok;
  };
  for (uint64_t at = 0; at < 56 + 3; ++at) {
    for (int bit = 0; bit < 8; ++bit) ASSERT_TRUE(missed(at, bit)) << "byte " << at << " bit " << bit;
  }
  for (uint64_t at = 0; at < 5000; at += 97) ASSERT_TRUE(missed(kPackCacheAlignment + at, static_cast<int>(at % 8))) << at;
  EXPECT_TRUE(open_pack_cache(path, "key", 5000).ok()) << "the file is whole again";
}

TEST(PackCache, ATruncatedFileIsAMiss) {
  const TempFolder folder;
  const std::string path = pack_cache_path(folder.path(), "key");
  ASSERT_TRUE(write_pack_cache(path, "key", some_payload()).ok());
  std::ifstream whole(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(whole)), {});
  for (const size_t length : {size_t{0}, size_t{7}, size_t{55}, size_t{58}, size_t{4096}, size_t{kPackCacheAlignment}, bytes.size() - 1}) {
    std::ofstream(path, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<std::streamsize>(length));
    EXPECT_FALSE(open_pack_cache(path, "key", 5000).ok()) << length;
  }
}

}  // namespace
}  // namespace kl
