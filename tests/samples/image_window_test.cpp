// The window under a virtual display: what it shows is looked at pixel by pixel.
#include <gtest/gtest.h>
#include <png.h>

#include <algorithm>
#include <fstream>

#include "support/picture_questions.h"
#include "support/program.h"

namespace kl {
namespace {

using tool_test::Folder;
using tool_test::Outcome;
using tool_test::run_program;

constexpr int kWidth = 1000;  // of the window; its left half is the picture's
constexpr int kHeight = 600;

struct Screenshot {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> rgb;

  explicit Screenshot(const std::string& file) {
    png_image image = {};
    image.version = PNG_IMAGE_VERSION;
    if (png_image_begin_read_from_file(&image, file.c_str()) == 0) return;
    image.format = PNG_FORMAT_RGB;
    rgb.resize(PNG_IMAGE_SIZE(image));
    if (png_image_finish_read(&image, nullptr, rgb.data(), 0, nullptr) == 0) return;
    width = static_cast<int>(image.width);
    height = static_cast<int>(image.height);
  }
  uint32_t at(int x, int y) const {
    const size_t i = 3 * (static_cast<size_t>(y) * static_cast<size_t>(width) + static_cast<size_t>(x));
    return uint32_t{rgb[i]} << 16U | uint32_t{rgb[i + 1]} << 8U | rgb[i + 2];
  }
  // The part of the columns [from, to) that satisfies.
  template <class Is>
  double share(int from, int to, const Is& is) const {
    size_t count = 0;
    for (int y = 0; y < height; ++y) {
      for (int x = from; x < to; ++x) count += is(x, y) ? 1 : 0;
    }
    return static_cast<double>(count) / (static_cast<double>(to - from) * height);
  }
};

// (The program's own exit status: xvfb-run gives another one when it cannot remove its folder because its server is still ending.)
Outcome window(const std::string& screenshot, std::vector<std::string> more) {
  const Folder folder;
  std::string command = "XDG_CACHE_HOME='" + (folder / "cache") +
                        "' xvfb-run -a -s '-screen 0 1280x800x24' bash -c '\"$@\"; echo $? >\"$0\"' '" + (folder / "status") +
                        "' '" KL_IMAGE_WINDOW_FILE "'";
  if (std::find(more.begin(), more.end(), "--model") == more.end()) more.insert(more.end(), {"--model", shapes_model("q8_0")});
  more.insert(more.end(), {"--projector", shapes_projector(), "--width", std::to_string(kWidth), "--height", std::to_string(kHeight),
                           "--exit", "--print-answer", "--screenshot", screenshot});
  for (const std::string& word : more) command += " '" + word + "'";
  Outcome outcome = run_program("/bin/bash", {"-c", command});
  outcome.exit_status = -1;
  std::ifstream(folder / "status") >> outcome.exit_status;
  return outcome;
}

bool there_is_a_display() { return run_program("/bin/bash", {"-c", "command -v xvfb-run && command -v xauth"}).exit_status == 0; }

// 06.png holds a blue rectangle, a brown circle and a brown triangle.
constexpr uint32_t kBlue = 0x0000FF;
constexpr uint32_t kBrown = 0xA52A2A;

TEST(ImageWindow, ShowsThePictureAndTheAnswerThatCame) {
  if (!there_is_a_display()) GTEST_SKIP() << "needs xvfb-run and xauth";
  const Folder folder;
  const std::string picture = shapes_pictures() + "06.png";
  const Outcome unasked = window(folder / "unasked.png", {"--picture", picture});
  const Outcome asked = window(folder / "asked.png", {"--picture", picture, "--ask", "What do you see?"});
  ASSERT_EQ(unasked.exit_status, 0) << unasked.err;
  ASSERT_EQ(asked.exit_status, 0) << asked.err;
  EXPECT_EQ(unasked.out, "");
  EXPECT_NE(asked.out.find("a blue rectangle, a brown circle and a brown triangle."), std::string::npos) << asked.out;

  const Screenshot before(folder / "unasked.png");
  const Screenshot after(folder / "asked.png");
  ASSERT_EQ(before.width, kWidth);
  ASSERT_EQ(after.width, kWidth);
  ASSERT_EQ(after.height, kHeight);
  // The shapes are a twentieth of the left half each, and not on the right.
  EXPECT_GT(after.share(0, kWidth / 2, [&](int x, int y) { return after.at(x, y) == kBlue; }), 0.02);
  EXPECT_GT(after.share(0, kWidth / 2, [&](int x, int y) { return after.at(x, y) == kBrown; }), 0.05);
  EXPECT_EQ(after.share(kWidth / 2, kWidth, [&](int x, int y) { return after.at(x, y) == kBlue; }), 0.0);
  // Question and answer are text on the right: a few thousand pixels that were background before; the left half is as it was.
  const auto changed = [&](int x, int y) { return after.at(x, y) != before.at(x, y); };
  EXPECT_EQ(after.share(0, kWidth / 2, changed), 0.0);
  EXPECT_GT(after.share(kWidth / 2, kWidth, changed), 0.003);
  EXPECT_LT(after.share(kWidth / 2, kWidth, changed), 0.2);
}

TEST(ImageWindow, AModelThatIsNotThereIsAnErrorInTheWindowAndInTheExitStatus) {
  if (!there_is_a_display()) GTEST_SKIP() << "needs xvfb-run and xauth";
  const Folder folder;
  const Outcome outcome = window(folder / "shot.png", {"--model", folder / "absent.gguf"});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_NE(outcome.err.find("absent.gguf"), std::string::npos) << outcome.err;
  EXPECT_EQ(Screenshot(folder / "shot.png").width, kWidth);
}

}  // namespace
}  // namespace kl
