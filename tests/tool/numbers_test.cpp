// logits, eval, bench.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "tool/process.h"

namespace kl::tool_test {
namespace {

using Json = nlohmann::json;

std::string some_ids(size_t count) {
  std::string ids = "1";
  for (uint32_t i = 1, state = 1; i < count; ++i) {
    state = state * 1103515245U + 12345U;
    ids += " " + std::to_string(3 + (state >> 16U) % 500);
  }
  return ids;
}

// The bytes of the .npy file after `kinglet logits` with these options.
std::string logits(const Folder& folder, std::vector<std::string> words) {
  words.insert(words.end(), {"--out", folder / "logits.npy"});
  const Outcome outcome = kinglet(with_model("logits", std::move(words)));
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  return content_of(folder / "logits.npy");
}

TEST(Logits, AreANumpyFileOfTheAnnouncedShape) {
  const Folder folder;
  const std::string file = logits(folder, {"--ids", "1 403 407"});
  ASSERT_EQ(file.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  const size_t header = static_cast<unsigned char>(file[8]) + 256U * static_cast<unsigned char>(file[9]);
  EXPECT_EQ((10 + header) % 64, 0U);
  EXPECT_EQ(file[9 + header], '\n');
  EXPECT_NE(file.find("'descr': '<f4', 'fortran_order': False, 'shape': (3, 512)"), std::string::npos);
  EXPECT_EQ(file.size(), 10 + header + size_t{3} * 512 * 4);
}

TEST(Logits, HaveTheSameBitsHoweverTheyAreComputed) {
  const Folder folder;
  const std::string ids = folder.write("ids", some_ids(70));
  const std::string expected = logits(folder, {"--ids-file", ids, "--threads", "1"});
  ASSERT_GT(expected.size(), size_t{70} * 512 * 4);
  const std::vector<std::vector<std::string>> ways = {{"--threads", "2"},
                                                      {"--threads", "3", "--chunk", "7"},
                                                      {"--chunk", "1"},
                                                      {"--chunk", "32"},
                                                      {"--step"},
                                                      {"--mates", "3", "--mates-seed", "1"},
                                                      {"--step", "--mates", "2", "--mates-seed", "2"},
                                                      {"--chunk", "5", "--mates", "4", "--mates-seed", "3"},
                                                      {"--no-mmap"}};
  for (std::vector<std::string> way : ways) {
    const std::string shown = ::testing::PrintToString(way);
    way.insert(way.end(), {"--ids-file", ids});
    EXPECT_TRUE(logits(folder, std::move(way)) == expected) << shown;
  }
}

TEST(Logits, TheReferenceIsNearTheFastPath) {
  const Folder folder;
  const std::string ids = some_ids(40);
  const std::string fast = logits(folder, {"--ids", ids});
  const std::string slow = logits(folder, {"--ids", ids, "--backend", "reference"});
  ASSERT_EQ(fast.size(), slow.size());
  const size_t count = size_t{40} * 512;
  std::vector<float> a(count);
  std::vector<float> b(count);
  std::memcpy(a.data(), fast.data() + fast.size() - count * 4, count * 4);
  std::memcpy(b.data(), slow.data() + slow.size() - count * 4, count * 4);
  float difference = 0;
  float size = 0;
  for (size_t i = 0; i < count; ++i) {
    difference = std::max(difference, std::abs(a[i] - b[i]));
    size = std::max(size, std::abs(b[i]));
  }
  EXPECT_GT(size, 1.0F);
  EXPECT_LT(difference / size, 0.02F);
}

std::string story(size_t sentences) {
  std::string text;
  for (size_t i = 0; i < sentences; ++i) {
    text += i % 2 == 0 ? "Once upon a time, there was a little girl named Lily. "
                       : "She loved to play outside in the park with her big red ball.\n";
  }
  return text;
}

Json evaluate(std::vector<std::string> words) {
  words.insert(words.end(), {"--json"});
  const Outcome outcome = kinglet(with_model("eval", std::move(words)));
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  return Json::parse(outcome.out, nullptr, false);
}

TEST(Eval, ScoresTheSecondHalfOfEveryChunk) {
  const Folder folder;
  const std::string text = folder.write("text", story(24));
  const Json json = evaluate({"--file", text, "--ctx", "64", "--chunks", "3"});
  EXPECT_EQ(json["chunks"], 3);
  EXPECT_EQ(json["tokens"], 3 * 31);  // rows 32 to 62 of 64
  EXPECT_GT(json["perplexity"].get<double>(), 1.0);
  EXPECT_LT(json["perplexity"].get<double>(), 30.0);
  EXPECT_GT(json["perplexity_stderr"].get<double>(), 0.0);
}

TEST(Eval, AModelDoesNotDivergeFromItself) {
  const Folder folder;
  const std::string text = folder.write("text", story(24));
  const std::string base = folder / "base.kld";
  const Json saved = evaluate({"--file", text, "--ctx", "64", "--chunks", "3", "--kl-save", base});
  EXPECT_EQ(content_of(base).substr(0, 8), "_logits_");
  // 20 bytes of header, 3 x 64 tokens, 3 x 31 rows of 512 + 4 words
  EXPECT_EQ(content_of(base).size(), 20U + 4U * 3 * 64 + 2U * 3 * 31 * (512 + 4));
  const Json same = evaluate({"--file", text, "--kl-base", base});
  EXPECT_EQ(same["ctx"], 64);
  EXPECT_NEAR(same["perplexity"].get<double>(), saved["perplexity"].get<double>(), 1e-9);
  EXPECT_LT(std::abs(same["kl_mean"].get<double>()), 1e-5);  // 16-bit steps of the file
  EXPECT_GT(same["same_top"].get<double>(), 0.98);
  const Json other = evaluate({"--kl-base", base, "--kv", "q4"});
  EXPECT_GT(other["kl_mean"].get<double>(), same["kl_mean"].get<double>());
  EXPECT_GE(other["kl_max"].get<double>(), other["kl_p99"].get<double>());
}

TEST(Eval, ADamagedLogitsFileIsACleanError) {
  const Folder folder;
  const std::string text = folder.write("text", story(24));
  const std::string base = folder / "base.kld";
  evaluate({"--file", text, "--ctx", "64", "--chunks", "2", "--kl-save", base});
  const std::string whole = content_of(base);
  for (const size_t length : {size_t{0}, size_t{7}, size_t{12}, size_t{19}, size_t{100}, whole.size() / 2, whole.size() - 1}) {
    const Outcome outcome = kinglet(with_model("eval", {"--kl-base", folder.write("cut.kld", whole.substr(0, length))}));
    EXPECT_EQ(outcome.exit_status, 1) << length;
  }
  for (const size_t at : {size_t{8}, size_t{12}, size_t{16}, size_t{20}}) {  // context, vocabulary, chunks, a token
    std::string damaged = whole;
    damaged.replace(at, 4, "\xFF\xFF\xFF\x7F");
    const Outcome outcome = kinglet(with_model("eval", {"--kl-base", folder.write("damaged.kld", damaged)}));
    EXPECT_EQ(outcome.exit_status, 1) << at;
  }
}

TEST(Bench, GivesEveryCombinationItsSpeedsAndShares) {
  const Outcome outcome = kinglet(with_model("bench", {"--json", "--threads", "1,2", "--kv", "f16,q8", "--prompt", "16", "--gen", "4",
                                                       "--depth", "0,8", "--batch", "1,2", "--reps", "2"}));
  ASSERT_EQ(outcome.exit_status, 0) << outcome.err;
  const Json json = Json::parse(outcome.out, nullptr, false);
  EXPECT_GT(json["machine"]["read_gb_per_s"]["1"].get<double>(), 0.0);
  EXPECT_GT(json["machine"]["int8_gmac_per_s"]["2"].get<double>(), 0.0);
  ASSERT_EQ(json["results"].size(), 2U * 2 * 2 * 2);
  for (const Json& row : json["results"]) {
    for (const char* key : {"prefill_tokens_per_s", "decode_tokens_per_s", "ttft_s", "load_s"}) {
      const std::string name(key);
      EXPECT_GT(row[name].get<double>(), 0.0) << name;
      EXPECT_LE(row[name + "_min"].get<double>(), row[name].get<double>()) << name;
      EXPECT_GE(row[name + "_max"].get<double>(), row[name].get<double>()) << name;
    }
    EXPECT_GT(row["prefill_share"].get<double>(), 0.0);
    EXPECT_GT(row["decode_share"].get<double>(), 0.0);
    EXPECT_GE(row["ttft_s"].get<double>(), row["load_s_min"].get<double>());
  }
}

}  // namespace
}  // namespace kl::tool_test
