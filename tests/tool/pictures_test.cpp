// features, generate --image, logits --image, inspect --projector, bench --projector: on the small model that comes with the samples.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tool/process.h"

namespace kl::tool_test {
namespace {

using Json = nlohmann::json;

const std::string kFolder = KL_TEST_DATA "/../samples/image_question/model/";
constexpr int kImageToken = 4049;

std::string picture(const std::string& name) { return kFolder + "pictures/" + name; }

std::vector<std::string> seeing(const std::string& subcommand, std::vector<std::string> words) {
  words.insert(words.begin(),
               {subcommand, "--model", kFolder + "shapes-vlm-q8_0.gguf", "--projector", kFolder + "mmproj-shapes-vlm-f16.gguf", "--quiet"});
  if (std::find(words.begin(), words.end(), "--cache-dir") == words.end()) words.insert(words.end(), {"--cache-dir", ""});
  return words;
}

struct Matrix {
  std::string shape;  // as the header writes it
  std::vector<float> values;
};

Matrix read_npy(const std::string& path) {
  const std::string file = content_of(path);
  Matrix result;
  if (file.size() < 10 || file.substr(0, 6) != "\x93NUMPY") return result;
  const size_t header = 10 + static_cast<unsigned char>(file[8]) + 256U * static_cast<unsigned char>(file[9]);
  const size_t open = file.find("'shape': (");
  result.shape = file.substr(open + 10, file.find(')', open) - open - 10);
  result.values.resize((file.size() - header) / sizeof(float));
  std::memcpy(result.values.data(), file.data() + header, result.values.size() * sizeof(float));
  return result;
}

// max|a-b| / max|b|
float distance(const std::vector<float>& a, const std::vector<float>& b) {
  float most = 0;
  float size = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    most = std::max(most, std::abs(a[i] - b[i]));
    size = std::max(size, std::abs(b[i]));
  }
  return most / size;
}

// The ids of the model's prompt with pictures in it.
std::string prompt_ids(size_t images = 1) {
  std::string text = "<|im_start|>User:";
  for (size_t i = 0; i < images; ++i) {
    text += "<fake_token_around_image><global-img>";
    for (int row = 0; row < 16; ++row) text += "<image>";
    text += "<fake_token_around_image>";
  }
  text += "What do you see?<end_of_utterance>\nAssistant:";
  const Outcome ids = kinglet({"tokenize", "--model", kFolder + "shapes-vlm-q8_0.gguf", "--cache-dir", "", "--special", "--text", text});
  EXPECT_EQ(ids.exit_status, 0) << ids.err;
  return ids.out;
}

size_t count_of(const std::string& ids) {
  std::istringstream words(ids);
  return static_cast<size_t>(std::distance(std::istream_iterator<std::string>(words), {}));
}

TEST(Features, AreTheReferencesRows) {
  const Folder folder;
  for (const char* name : {"00", "01", "02"}) {
    const Matrix expected = read_npy(std::string(KL_TEST_DATA) + "/data/shapes_features/features_" + name + ".npy");
    ASSERT_EQ(expected.values.size(), 16U * 256);
    for (const auto& [backend, bound] : {std::pair("reference", 1e-4F), std::pair("cpu", 1e-5F)}) {
      const Outcome outcome =
          kinglet(seeing("features", {"--image", picture(std::string(name) + ".png"), "--out", folder / "f.npy", "--backend", backend}));
      ASSERT_EQ(outcome.exit_status, 0) << outcome.err;
      EXPECT_EQ(outcome.out, "");
      const Matrix rows = read_npy(folder / "f.npy");
      ASSERT_EQ(rows.shape, "16, 256");
      ASSERT_EQ(rows.values.size(), expected.values.size());
      EXPECT_LE(distance(rows.values, expected.values), bound) << name << " on " << backend;
    }
  }
}

TEST(Features, NeedNoTextModelAndHoldThePicturesInOrder) {
  const Folder folder;
  const std::vector<std::string> words = {"features",
                                          "--projector",
                                          kFolder + "mmproj-shapes-vlm-f16.gguf",
                                          "--cache-dir",
                                          "",
                                          "--quiet",
                                          "--image",
                                          picture("00.png"),
                                          "--image",
                                          picture("06.png"),
                                          "--out",
                                          folder / "both.npy",
                                          "--json"};
  const Outcome outcome = kinglet(words);
  ASSERT_EQ(outcome.exit_status, 0) << outcome.err;
  const Json json = Json::parse(outcome.out, nullptr, false);
  EXPECT_EQ(json["shape"], Json::array({32, 256}));
  ASSERT_EQ(json["images"].size(), 2U);
  EXPECT_EQ(json["images"][1]["width"], 64);
  EXPECT_EQ(json["images"][1]["tiles"], 1);
  EXPECT_EQ(json["images"][1]["tier"], "none");
  EXPECT_EQ(json["images"][1]["key"].get<std::string>().size(), 64U);
  EXPECT_NE(json["images"][0]["key"], json["images"][1]["key"]);
  const Matrix both = read_npy(folder / "both.npy");
  ASSERT_EQ(both.shape, "32, 256");
  ASSERT_EQ(kinglet(seeing("features", {"--image", picture("06.png"), "--out", folder / "one.npy"})).exit_status, 0);
  const Matrix one = read_npy(folder / "one.npy");
  EXPECT_TRUE(std::equal(one.values.begin(), one.values.end(), both.values.begin() + 16 * 256));
}

TEST(Features, ARowBudgetAndPruningLeaveFewerRows) {
  const Folder folder;
  for (const auto& [option, value, rows] : {std::tuple("--max-image-rows", "4", "4, 256"), std::tuple("--prune", "0.5", "8, 256")}) {
    const Outcome outcome = kinglet(seeing("features", {"--image", picture("06.png"), "--out", folder / "f.npy", option, value}));
    ASSERT_EQ(outcome.exit_status, 0) << option << outcome.err;
    EXPECT_EQ(read_npy(folder / "f.npy").shape, rows) << option;
  }
}

TEST(Generate, AnswersAboutAPictureAndSaysWhatItCost) {
  const Outcome outcome = kinglet(seeing("generate", {"--json", "--image", picture("06.png"), "--prompt", "What do you see?"}));
  ASSERT_EQ(outcome.exit_status, 0) << outcome.err;
  const Json json = Json::parse(outcome.out, nullptr, false);
  EXPECT_EQ(json["text"], " a blue rectangle, a brown circle and a brown triangle.");
  ASSERT_EQ(json["images"].size(), 1U);
  EXPECT_EQ(json["images"][0]["rows"], 16);
  EXPECT_GT(json["images"][0]["encode_s"].get<double>(), 0.0);
  EXPECT_EQ(json["prompt_tokens"], count_of(prompt_ids()));
}

TEST(Generate, APictureIsRememberedFromRunToRunUnlessTheCacheIsOff) {
  const Folder folder;
  const auto tier = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--json", "--image", picture("06.png"), "--prompt", "What do you see?", "--cache-dir", folder / "cache"});
    const Outcome outcome = kinglet(seeing("generate", std::move(more)));
    EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
    const Json json = Json::parse(outcome.out, nullptr, false);
    EXPECT_EQ(json["text"], " a blue rectangle, a brown circle and a brown triangle.");
    return json["images"][0]["tier"].get<std::string>();
  };
  EXPECT_EQ(tier({"--no-feature-cache"}), "none");
  EXPECT_EQ(tier({}), "none") << "the run before was to remember nothing";
  EXPECT_EQ(tier({}), "disk");
  EXPECT_EQ(tier({"--no-feature-cache"}), "none");
}

TEST(Logits, WithPicturesHaveTheSameBitsHoweverTheyAreComputed) {
  const Folder folder;
  const std::string ids = folder.write("ids", prompt_ids(2));
  const auto logits = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--ids-file", ids, "--image", picture("06.png"), "--image", picture("00.png"), "--image-token",
                               std::to_string(kImageToken), "--out", folder / "logits.npy"});
    const Outcome outcome = kinglet(seeing("logits", std::move(words)));
    EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
    return content_of(folder / "logits.npy");
  };
  const std::string expected = logits({"--threads", "1"});
  ASSERT_GT(expected.size(), size_t{4096} * 4 * 46);
  for (const std::vector<std::string>& way : std::vector<std::vector<std::string>>{{"--threads", "3"},
                                                                                   {"--chunk", "5"},
                                                                                   {"--chunk", "20"},
                                                                                   {"--step"},
                                                                                   {"--mates", "3", "--mates-seed", "1"},
                                                                                   {"--step", "--mates", "2"}}) {
    EXPECT_TRUE(logits(way) == expected) << ::testing::PrintToString(way);
  }
}

TEST(Logits, DependOnThePicture) {
  const Folder folder;
  const std::string ids = prompt_ids();
  std::vector<std::string> files;
  for (const char* name : {"06.png", "00.png"}) {
    const Outcome outcome = kinglet(seeing(
        "logits", {"--ids", ids, "--image", picture(name), "--image-token", std::to_string(kImageToken), "--out", folder / "logits.npy"}));
    ASSERT_EQ(outcome.exit_status, 0) << outcome.err;
    files.push_back(content_of(folder / "logits.npy"));
  }
  EXPECT_NE(files[0], files[1]);
}

TEST(Inspect, ShowsTheEncoderBesideTheModel) {
  const Outcome outcome = kinglet(seeing("inspect", {"--json", "--ctx", "256"}));
  ASSERT_EQ(outcome.exit_status, 0) << outcome.err;
  const Json json = Json::parse(outcome.out, nullptr, false);
  const Json& encoder = json["projector"];
  EXPECT_EQ(encoder["metadata"]["clip.projector_type"], "idefics3");
  EXPECT_GT(encoder["memory"].get<uint64_t>(), 3'000'000U);
  EXPECT_EQ(encoder["parameters"], 2025792);
}

TEST(Bench, MeasuresWhatAPictureCosts) {
  const Outcome outcome = kinglet(seeing("bench", {"--json", "--image-size", "64x48", "--question", "8", "--reps", "1"}));
  ASSERT_EQ(outcome.exit_status, 0) << outcome.err;
  const Json json = Json::parse(outcome.out, nullptr, false);
  ASSERT_EQ(json["results"].size(), 1U);
  const Json& row = json["results"][0];
  EXPECT_EQ(row["width"], 64);
  EXPECT_EQ(row["height"], 48);
  EXPECT_EQ(row["rows"], 16);
  // 64 patches: 4 layers of (4 M M + 2 M F) and the projector's 768 x 256 for 16 rows, at least; attention and patches come on top.
  EXPECT_GT(row["macs"].get<uint64_t>(), 64U * 4 * (4 * 192 * 192 + 2 * 192 * 768) + 16U * 768 * 256);
  for (const char* key : {"encode_s", "ttft_cold_s", "ttft_memory_s", "ttft_disk_s"})
    EXPECT_GT(row[key]["median"].get<double>(), 0.0) << key;
  // This encode takes milliseconds: a busy machine may have no token of the others in them. What slices leave to them is tested in policy_test.cpp.
  for (const char* key : {"beside_sliced", "beside_unsliced"}) {
    EXPECT_GE(row[key]["pace"]["median"].get<double>(), 0.0) << key;
    EXPECT_GT(row[key]["encode_s"]["median"].get<double>(), 0.0) << key;
  }
}

TEST(Contract, WrongUsageOfPicturesIsExitStatus2AndWorkThatFailsIs1) {
  const Folder folder;
  const std::string model = kFolder + "shapes-vlm-q8_0.gguf";
  const std::string broken = folder.write("broken.png", "this is no picture");
  const std::string out = folder / "out.npy";
  const std::vector<std::pair<int, std::vector<std::string>>> cases = {
      {2, {"features", "--image", picture("00.png"), "--out", out}},
      {2, seeing("features", {"--out", out})},
      {2, seeing("features", {"--image", picture("00.png")})},
      {2, seeing("features", {"--image", picture("00.png"), "--out", out, "--prune", "0.95"})},
      {2, {"generate", "--model", model, "--image", picture("00.png"), "--prompt", "x"}},
      {2, seeing("logits", {"--ids", "1 2", "--image", picture("00.png"), "--out", out})},
      {2, seeing("bench", {"--image-size", "64x"})},
      {2, seeing("bench", {"--image-size", "0"})},
      {1, seeing("features", {"--image", broken, "--out", out})},
      {1, seeing("features", {"--image", folder / "absent.png", "--out", out})},
      {1, seeing("generate", {"--image", broken, "--prompt", "x"})},
      {1, seeing("generate", {"--image", folder / "absent.png", "--prompt", "x"})},
      {1, seeing("logits", {"--ids", "1 4049 4049", "--image", picture("00.png"), "--image-token", "4049", "--out", out})},
      {1, {"features", "--projector", model, "--image", picture("00.png"), "--out", out}},
      {1, {"generate", "--model", stories(), "--projector", kFolder + "mmproj-shapes-vlm-f16.gguf", "--prompt", "x"}},
  };
  for (const auto& [status, words] : cases) {
    const Outcome outcome = kinglet(words);
    EXPECT_EQ(outcome.exit_status, status) << ::testing::PrintToString(words) << outcome.err;
    EXPECT_TRUE(outcome.err.starts_with("kinglet: error: ")) << outcome.err;
    EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_FALSE(std::filesystem::exists(out)) << "a result that was not finished stays behind";
  }
}

}  // namespace
}  // namespace kl::tool_test
