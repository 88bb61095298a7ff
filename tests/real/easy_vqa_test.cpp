// easy-VQA, all 3,857 public questions, with the small model that comes with the samples. KINGLET_EASY_VQA names the folder (questions.json, images/); the set is
// the Python package easy-vqa. Needs no other model.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdlib>

#include "support/picture_questions.h"

namespace kl {
namespace {

class EasyVqa : public ::testing::TestWithParam<const char*> {};

TEST_P(EasyVqa, AccuracyAndAnswersAreTheReferences) {
  const char* folder = std::getenv("KINGLET_EASY_VQA");
  if (folder == nullptr) GTEST_SKIP() << "KINGLET_EASY_VQA does not name the folder of easy-VQA";
  const std::string format = GetParam();
  const auto rows = json_file(std::string(folder) + "/questions.json");
  const auto reference = json_file(std::string(KL_TEST_DATA) + "/data/easy_vqa/reference_" + format + ".json");
  ASSERT_TRUE(rows.is_array()) << folder << "/questions.json is missing or no JSON";
  ASSERT_EQ(rows.size(), reference["answers"].size());
  std::vector<PictureQuestion> questions;
  for (size_t i = 0; i < rows.size(); ++i) {
    questions.push_back({std::string(folder) + "/images/" + std::to_string(rows[i][2].get<int>()) + ".png", rows[i][0].get<std::string>(),
                         rows[i][1].get<std::string>(), reference["answers"][i].get<std::string>()});
  }

  PictureModel model(shapes_model(format), shapes_projector());
  ASSERT_EQ(model.problem(), "");
  const auto began = std::chrono::steady_clock::now();
  const auto answers = model.ask(questions);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  const auto scores = score(questions, answers);
  print_scores(GetParam(), scores);
  std::printf("%s: %.1f s, %.0f questions a second\n", GetParam(), seconds, static_cast<double>(questions.size()) / seconds);
  const Score& all = scores.at("all");
  EXPECT_NEAR(all.share(all.reference_right), reference["accuracy"].get<double>(), 1e-9) << "the questions are not the reference's";
  EXPECT_NEAR(all.share(all.right), all.share(all.reference_right), 0.005);
  EXPECT_GE(all.share(all.same), 0.99);
}

INSTANTIATE_TEST_SUITE_P(Formats, EasyVqa, ::testing::Values("q8_0", "q4_0"), [](const auto& format) { return std::string(format.param); });

}  // namespace
}  // namespace kl
