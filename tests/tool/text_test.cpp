// devices, inspect, tokenize, detokenize, render, generate.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tool/process.h"

namespace kl::tool_test {
namespace {

using Json = nlohmann::json;

Json json_of(const Outcome& outcome) {
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  return Json::parse(outcome.out, nullptr, false);
}

TEST(Devices, ExactlyOneIsChosenAndEveryOtherSaysWhyNot) {
  const Json json = json_of(kinglet({"devices", "--json"}));
  size_t chosen = 0;
  ASSERT_GE(json["devices"].size(), 1U);
  for (const Json& device : json["devices"]) {
    chosen += device["chosen"].get<bool>() ? 1 : 0;
    EXPECT_NE(device["why"].get<std::string>(), "") << device;
  }
  EXPECT_EQ(chosen, 1U);
}

TEST(Inspect, NamesWhatTheFixtureHolds) {
  const Json json = json_of(kinglet(with_model("inspect", {"--json", "--ctx", "256"})));
  EXPECT_EQ(json["architecture"], "llama");
  EXPECT_EQ(json["layers"], 5);
  EXPECT_EQ(json["vocabulary"], 512);
  EXPECT_EQ(json["metadata"]["general.architecture"], "llama");
  uint64_t bytes = 0;
  for (const Json& tensor : json["tensors"]) bytes += tensor["bytes"].get<uint64_t>();
  uint64_t by_format = 0;
  for (const Json& format : json["formats"]) by_format += format["bytes"].get<uint64_t>();
  EXPECT_EQ(bytes, by_format);
  for (const Json& row : json["memory"]) {
    EXPECT_EQ(row["ctx"], 256);
    EXPECT_EQ(row["total"], row["weights"].get<uint64_t>() + row["kv_bytes"].get<uint64_t>() + row["workspace"].get<uint64_t>());
  }
}

TEST(Inspect, ShowsProgramPlanAndSupport) {
  const Outcome outcome = kinglet(with_model("inspect", {"--program", "--plan", "--support"}));
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  for (const char* part : {"\nprogram\n", "\nplan for a step of 1 rows\n", "\nsupport\n", "attention"}) {
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part;
  }
}

TEST(Tokenize, WhatIsDetokenizedIsTheTextExactly) {
  for (const std::string text : {"Once upon a time", "\"quoted\", 'too'", "two\nlines\n", "  spaces  ", "caf\u00e9 \u4f60\u597d \U0001F600",
                                 "-dash", "{a} [b] %s"}) {
    const Outcome ids = kinglet(with_model("tokenize", {"--no-bos", "--text=" + text}));
    ASSERT_EQ(ids.exit_status, 0) << ids.err;
    ASSERT_EQ(ids.out.find('\n'), ids.out.size() - 1);
    const Outcome back = kinglet(with_model("detokenize", {"--ids", ids.out.substr(0, ids.out.size() - 1)}));
    ASSERT_EQ(back.exit_status, 0) << back.err;
    EXPECT_EQ(back.out, text);
  }
}

TEST(Tokenize, AFileAndAnArgumentAreTheSame) {
  const Folder folder;
  const std::string text = "She loved to play outside.\n";
  const Outcome from_file = kinglet(with_model("tokenize", {"--file", folder.write("text", text)}));
  EXPECT_EQ(from_file.out, kinglet(with_model("tokenize", {"--text", text})).out);
  EXPECT_TRUE(from_file.out.starts_with("1 ")) << "the model's metadata asks for BOS: " << from_file.out;
}

TEST(Tokenize, ControlTokensComeFromTextOnlyWhenAsked) {
  const std::string without = kinglet(with_model("tokenize", {"--no-bos", "--text", "<s>"})).out;
  EXPECT_NE(without, "1\n");
  EXPECT_EQ(kinglet(with_model("tokenize", {"--no-bos", "--special", "--text", "<s>"})).out, "1\n");
}

TEST(Tokenize, AnEmptyTextIsBosAlone) {
  EXPECT_EQ(kinglet(with_model("tokenize", {"--text", ""})).out, "1\n");
  EXPECT_EQ(kinglet(with_model("tokenize", {"--no-bos", "--text", ""})).out, "\n");
}

TEST(Render, AppliesATemplateWithAndWithoutAModel) {
  const Folder folder;
  const std::string context =
      folder.write("context.json", R"({"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": true})");
  const std::string jinja = folder.write(
      "t.jinja", "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}{% if add_generation_prompt %} >{% endif %}");
  EXPECT_EQ(kinglet({"render", "--context", context, "--template", jinja}).out, "[user] Hi >");
  EXPECT_EQ(kinglet(with_model("render", {"--context", context, "--template", jinja})).out, "[user] Hi >");
  const std::string clock = folder.write("clock.jinja", "{{ strftime_now('%Y-%m-%d') }}");
  EXPECT_EQ(kinglet({"render", "--context", context, "--template", clock, "--now", "2026-01-31T12:00:00"}).out, "2026-01-31");
}

TEST(Generate, TellsTheStoryThatTheFixtureIsKnownFor) {
  const Outcome outcome = kinglet(with_model("generate", {"--raw", "--temperature", "0", "--prompt", "", "--max-tokens", "64"}));
  ASSERT_EQ(outcome.exit_status, 0) << outcome.err;
  const std::string start = outcome.out.substr(outcome.out.find("Once"));
  EXPECT_TRUE(start.starts_with(
      "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball."))
      << outcome.out;
}

TEST(Generate, ASeedGivesTheSameTextOnAnyThreadCount) {
  std::vector<std::string> texts;
  for (const char* threads : {"1", "2", "3"}) {
    texts.push_back(kinglet(with_model("generate", {"--raw", "--prompt", "Once", "--temperature", "0.9", "--top-k", "40", "--seed", "7",
                                                    "--max-tokens", "40", "--threads", threads}))
                        .out);
  }
  EXPECT_EQ(texts[0], texts[1]);
  EXPECT_EQ(texts[0], texts[2]);
  EXPECT_NE(texts[0], kinglet(with_model("generate", {"--raw", "--prompt", "Once", "--temperature", "0.9", "--top-k", "40", "--seed", "8",
                                                      "--max-tokens", "40"}))
                          .out);
}

TEST(Generate, AStopTextIsNotPrinted) {
  const Outcome outcome =
      kinglet(with_model("generate", {"--raw", "--prompt", "Once upon a time", "--max-tokens", "64", "--stop", "girl", "--stop", "zebra"}));
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_EQ(outcome.out.find("girl"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("little"), std::string::npos) << outcome.out;
}

}  // namespace
}  // namespace kl::tool_test
