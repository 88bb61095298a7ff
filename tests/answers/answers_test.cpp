// The small model that comes with the samples answers as the reference does (Hugging Face transformers in float32 on the same weights).
#include <gtest/gtest.h>

#include "support/picture_questions.h"

namespace kl {
namespace {

// 60 questions about 12 pictures; the reference is wrong in seven of them.
std::vector<PictureQuestion> easy_vqa_sample(const std::string& format) {
  const std::string folder = std::string(KL_TEST_DATA) + "/data/easy_vqa/";
  const size_t column = format == "q8_0" ? 3 : 4;
  std::vector<PictureQuestion> questions;
  const auto sample = json_file(folder + "sample.json");
  for (const auto& row : sample["rows"]) {
    questions.push_back(
        {folder + row[0].get<std::string>(), row[1].get<std::string>(), row[2].get<std::string>(), row[column].get<std::string>()});
  }
  return questions;
}

// The 16 drawings beside the model, with sentences as answers.
std::vector<PictureQuestion> drawings() {
  std::vector<PictureQuestion> questions;
  for (const auto& row : json_file(shapes_pictures() + "answers.json")) {
    questions.push_back(
        {shapes_pictures() + row["image"].get<std::string>(), row["question"].get<std::string>(), "", row["reference"].get<std::string>()});
  }
  return questions;
}

// One in a hundred may differ: linears round their input to 8 bits. So 59 of 60.
TEST(Answers, AreTheReferencesOnASampleOfEasyVqa) {
  for (const char* format : {"q8_0", "q4_0"}) {
    PictureModel model(shapes_model(format), shapes_projector());
    ASSERT_EQ(model.problem(), "");
    const auto questions = easy_vqa_sample(format);
    ASSERT_EQ(questions.size(), 60U);
    const auto answers = model.ask(questions);
    for (size_t i = 0; i < answers.size(); ++i) {
      if (answers[i] != questions[i].reference)
        std::printf("%s %s: \"%s\", reference \"%s\"\n", questions[i].picture.c_str(), questions[i].question.c_str(), answers[i].c_str(),
                    questions[i].reference.c_str());
    }
    const auto scores = score(questions, answers);
    print_scores(format, scores);
    EXPECT_GE(scores.at("all").same, 59U);
  }
}

TEST(Answers, AreTheReferencesWordForWordInExactArithmetic) {
  PictureModel model(shapes_model("q8_0"), shapes_projector(), KL_BACKEND_REFERENCE);
  ASSERT_EQ(model.problem(), "");
  const auto questions = drawings();
  ASSERT_EQ(questions.size(), 64U);
  const auto answers = model.ask(questions);
  for (size_t i = 0; i < answers.size(); ++i)
    EXPECT_EQ(answers[i], questions[i].reference) << questions[i].picture << " " << questions[i].question;
}

TEST(Answers, DoNotDependOnWhoElseIsAsked) {
  PictureModel model(shapes_model("q8_0"), shapes_projector());
  ASSERT_EQ(model.problem(), "");
  const auto questions = drawings();
  const auto together = model.ask(questions);
  for (size_t i = 0; i < questions.size(); i += 5) EXPECT_EQ(model.ask({questions[i]}).front(), together[i]) << questions[i].question;
}

}  // namespace
}  // namespace kl
