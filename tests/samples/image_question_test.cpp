// image_question and ask.sh as a person or a script would run them.
#include <gtest/gtest.h>

#include "support/picture_questions.h"
#include "support/program.h"

namespace kl {
namespace {

using tool_test::Folder;
using tool_test::Outcome;
using tool_test::run_program;

std::vector<std::string> words_with_model(std::vector<std::string> words) {
  words.insert(words.begin(), {"--model", shapes_model("q8_0"), "--projector", shapes_projector()});
  return words;
}

// With lines on standard input, as typed by someone who is no terminal.
Outcome ask(std::vector<std::string> words, const std::string& typed = "") {
  const Folder folder;
  std::string command = "XDG_CACHE_HOME='" + (folder / "cache") + "' exec '" KL_IMAGE_QUESTION_FILE "'";
  for (const std::string& word : words_with_model(std::move(words))) command += " '" + word + "'";
  return run_program("/bin/bash", {"-c", command + " <'" + folder.write("typed", typed) + "'"});
}

std::string reference(const std::string& picture, const std::string& question) {
  for (const auto& row : json_file(shapes_pictures() + "answers.json")) {
    if (row["image"] == picture && row["question"] == question) return row["reference"].get<std::string>();
  }
  return "no such question";
}

TEST(ImageQuestion, AnswersTheQuestionOfTheCommandLineAndSaysHowLongItTook) {
  const Outcome outcome = ask({shapes_pictures() + "06.png", "What do you see?"});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, reference("06.png", "What do you see?") + "\n");
  for (const char* part : {"06.png: 64 x 64, 16 rows: decoded in ", "prepared in ", "encoded in ", "first token after ", "coloured shapes"})
    EXPECT_NE(outcome.err.find(part), std::string::npos) << part << " is missing in " << outcome.err;
}

TEST(ImageQuestion, QuietSaysNothingButTheAnswer) {
  const Outcome outcome = ask({"--quiet", shapes_pictures() + "01.png", "What number is written?"});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, reference("01.png", "What number is written?") + "\n");
  EXPECT_EQ(outcome.err, "");
}

TEST(ImageQuestion, FollowsUpAndTakesMorePicturesAtThePrompt) {
  const Outcome outcome =
      ask({"--quiet", shapes_pictures() + "04.png"}, "What is on the left?\nIs there a blue circle?\n/reset\n/image " + shapes_pictures() +
                                                         "01.png\nWhat number is written?\n/stats\n/nonsense\n/exit\nnever asked\n");
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  const std::string first = reference("04.png", "What is on the left?") + "\n";
  EXPECT_TRUE(outcome.out.starts_with(first)) << outcome.out;
  EXPECT_NE(outcome.out.find("\n" + reference("01.png", "What number is written?") + "\n"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("remembered pictures: "), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("No such command"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out.find("never"), std::string::npos) << outcome.out;
}

TEST(ImageQuestion, APictureThatIsNoneIsAnErrorThatNamesItAndTheNextOneIsAnswered) {
  const Folder folder;
  const std::string broken = folder.write("broken.png", "this is no picture");
  const Outcome alone = ask({"--quiet", broken, "What do you see?"});
  EXPECT_EQ(alone.exit_status, 1);
  EXPECT_TRUE(alone.err.starts_with("image_question: error: ")) << alone.err;
  EXPECT_NE(alone.err.find("broken.png"), std::string::npos) << alone.err;
  EXPECT_EQ(alone.out, "");
  const Outcome then = ask({"--quiet", broken}, "What?\n/image " + shapes_pictures() + "06.png\nWhat do you see?\n");
  EXPECT_EQ(then.out, reference("06.png", "What do you see?") + "\n") << then.err;
  const Outcome absent = ask({"--quiet", folder / "absent.png", "What do you see?"});
  EXPECT_EQ(absent.exit_status, 1);
  EXPECT_NE(absent.err.find("absent.png"), std::string::npos) << absent.err;
}

TEST(ImageQuestion, APictureIsRememberedOnDiskUnlessForgotten) {
  const Folder folder;
  const std::string environment = "export XDG_CACHE_HOME='" + (folder / "cache") + "'; ";
  const auto again = [&](const std::string& option) {
    std::string command = environment + "exec '" KL_IMAGE_QUESTION_FILE "' " + option;
    for (const std::string& word : words_with_model({shapes_pictures() + "06.png", "What do you see?"})) command += " '" + word + "'";
    return run_program("/bin/bash", {"-c", command});
  };
  EXPECT_NE(again("--forget").err.find("encoded in"), std::string::npos);
  EXPECT_NE(again("").err.find("encoded in"), std::string::npos) << "the run before was to forget";
  const Outcome remembered = again("");
  EXPECT_NE(remembered.err.find("remembered on disk"), std::string::npos) << remembered.err;
  EXPECT_EQ(remembered.out, reference("06.png", "What do you see?") + "\n");
}

}  // namespace
}  // namespace kl
