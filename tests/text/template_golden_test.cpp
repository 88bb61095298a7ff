// Byte equality with Python's Jinja2 (scripts/goldens/chat_templates.py made the goldens).
#include <gtest/gtest.h>

#include <filesystem>

#include "text/template_support.h"

namespace kl {
namespace {

using template_test::read_file;
using template_test::read_json;
using template_test::render;

// "" when the result is what Python gave: the same text, or an error where Python failed too.
std::string difference(const Result<Rendered>& got, const nlohmann::ordered_json& expected) {
  if (expected.contains("error")) {
    return got.ok() ? "Python fails with " + expected["error"].get<std::string>() + "\n  got: " + got->text : "";
  }
  const std::string text = expected["text"];
  if (!got.ok()) return "expected text, got the error: " + got.status().message();
  if (got->text == text) return "";
  size_t at = 0;
  while (at < text.size() && at < got->text.size() && text[at] == got->text[at]) ++at;
  const size_t from = at < 40 ? 0 : at - 40;
  return "first difference at byte " + std::to_string(at) + "\n  expected: " + text.substr(from, 120) +
         "\n  got:      " + got->text.substr(from, 120);
}

TEST(TemplateGolden, EveryRealTemplateGivesTheBytesOfJinja2) {
  const auto contexts = read_json("golden/chat_templates/contexts.json")["contexts"];
  size_t templates = 0, texts = 0, refusals = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(KL_TEST_DATA) + "/data/chat_templates")) {
    if (entry.path().extension() != ".jinja") continue;
    ++templates;
    const std::string name = entry.path().stem();
    const std::string source = read_file("data/chat_templates/" + name + ".jinja");
    const auto golden = read_json("golden/chat_templates/" + name + ".json");
    size_t rendered = 0;
    for (const auto& [context_name, expected] : golden.items()) {
      ASSERT_TRUE(contexts.contains(context_name));
      const auto got = render(source, contexts[context_name].dump());
      EXPECT_EQ(difference(got, expected), "") << name << " with " << context_name;
      ++(expected.contains("error") ? refusals : rendered);
    }
    EXPECT_GE(rendered, 6u) << name;
    texts += rendered;
  }
  EXPECT_GE(templates, 28u);
  RecordProperty("texts", static_cast<int>(texts));
  RecordProperty("refusals", static_cast<int>(refusals));
}

TEST(TemplateGolden, EverySnippetOfTheLanguageBehavesAsInJinja2) {
  const auto golden = read_json("golden/chat_templates/snippets.json");
  const auto context = context_from_json(golden["context"].dump());
  ASSERT_TRUE(context.ok()) << context.status().message();
  ASSERT_GE(golden["cases"].size(), 900u);
  for (const auto& test : golden["cases"]) {
    const std::string source = test["template"];
    EXPECT_EQ(difference(render(source, *context), test), "") << "template: " << source;
  }
}

TEST(TemplateGolden, PiecesJoinToTheTextAndAlternateInTrust) {
  const auto contexts = read_json("golden/chat_templates/contexts.json")["contexts"];
  for (const auto& entry : std::filesystem::directory_iterator(std::string(KL_TEST_DATA) + "/data/chat_templates")) {
    if (entry.path().extension() != ".jinja") continue;
    const std::string source = read_file("data/chat_templates/" + entry.path().filename().string());
    const auto got = render(source, contexts["turns_without_system"].dump());
    if (!got.ok()) continue;
    std::string joined;
    for (size_t i = 0; i < got->pieces.size(); ++i) {
      EXPECT_FALSE(got->pieces[i].text.empty());
      EXPECT_TRUE(i == 0 || got->pieces[i].trusted != got->pieces[i - 1].trusted);
      joined += got->pieces[i].text;
    }
    EXPECT_EQ(joined, got->text);
  }
}

}  // namespace
}  // namespace kl
