// What every file of the project is held to.
#include <gtest/gtest.h>

#include <map>
#include <regex>

#include "sources.h"

namespace kl::conformance {
namespace {

constexpr size_t kMostLines = 600;

// Files that are longer, each with the reason why it is one thing and not two.
const std::map<std::string, const char*> kLongFiles = {
    {"scripts/goldens/template_snippets.py", "one table of template snippets, the inputs of a golden"},
};

TEST(Files, NoneIsLongerThan600Lines) {
  size_t checked = 0;
  for (const SourceFile& file : all_files()) {
    const bool counted = file.is_code() || file.path.ends_with(".comp") || file.path.ends_with(".glsl") || file.path.ends_with(".cu") ||
                         file.path.ends_with(".py") || file.path.ends_with(".sh");
    if (!counted || kLongFiles.contains(file.path)) continue;
    ++checked;
    EXPECT_LE(file.lines().size(), kMostLines) << file.path << " is probably two things";
  }
  EXPECT_GT(checked, 50U);
}

TEST(Files, NoneNamesAFolderOfSomeonesMachine) {
  // Written in pieces, so that this file does not name one.
  const std::vector<std::string> roots = {std::string("/") + "work/", std::string("/") + "root/", std::string("/") + "home/",
                                          std::string("/") + "Users/"};
  for (const SourceFile& file : all_files()) {
    size_t number = 0;
    for (const std::string& line : file.lines()) {
      ++number;
      for (const std::string& folder : roots) {
        const size_t at = line.find(folder);
        const bool inside_a_word =
            at != std::string::npos && at > 0 && (std::isalnum(static_cast<unsigned char>(line[at - 1])) != 0 || line[at - 1] == '.');
        EXPECT_FALSE(at != std::string::npos && !inside_a_word) << file.path << ":" << number << ": " << line;
      }
    }
  }
}

std::string without_comments(const std::string& line) { return line.substr(0, line.find("//")); }

// Variants come from Spec fields, never from a model's name; and a kernel does not know what its rows mean.
TEST(Files, NoKernelAndNoPlannerNamesAModelOrVision) {
  const std::regex names("llama|qwen|gemma|mistral|smollm|phi3|deepseek", std::regex::icase);
  const std::regex vision("vision|image", std::regex::icase);
  size_t checked = 0;
  for (const SourceFile& file : all_files()) {
    const bool kernel = file.in("backends") || file.in("shaders");
    if (!kernel && !file.in("sdk/src/plan")) continue;
    size_t number = 0;
    for (const std::string& line : file.lines()) {
      ++number;
      ++checked;
      const std::string code = without_comments(line);
      EXPECT_FALSE(std::regex_search(code, names)) << file.path << ":" << number << ": " << line;
      if (kernel && !file.in("backends/vulkan")) {  // Vulkan's own word for a texture is image
        EXPECT_FALSE(std::regex_search(code, vision)) << file.path << ":" << number << ": " << line;
      }
    }
  }
  EXPECT_GT(checked, 100U);
}

TEST(Files, TheLibrarysSourceNeverEndsTheProcessAndNeverPrints) {
  const std::regex calls("\\b(abort|terminate|exit|quick_exit|_Exit|_exit|assert|printf|puts|perror)\\s*\\(|std::c(out|err|log)\\b");
  size_t checked = 0;
  for (const SourceFile& file : all_files()) {
    if (!file.is_code() || !(file.in("sdk/src") || file.in("backends"))) continue;
    if (file.path.starts_with("backends/cpu/bench/")) continue;  // a program of its own
    size_t number = 0;
    for (const std::string& line : file.lines()) {
      ++number;
      ++checked;
      EXPECT_FALSE(std::regex_search(without_comments(line), calls)) << file.path << ":" << number << ": " << line;
    }
  }
  EXPECT_GT(checked, 1000U);
}

TEST(Files, NothingIsLeftToBeDone) {
  const std::regex marks(std::string("\\b(TO") + "DO|FIX" + "ME|XX" + "X)\\b");
  for (const SourceFile& file : all_files()) {
    size_t number = 0;
    for (const std::string& line : file.lines()) {
      ++number;
      EXPECT_FALSE(std::regex_search(line, marks)) << file.path << ":" << number << ": " << line;
    }
  }
}

}  // namespace
}  // namespace kl::conformance
