// Exit statuses, error lines and closed pipes: what scripts around the command rely on.
#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "tool/process.h"

namespace kl::tool_test {
namespace {

void expect_one_error_line(const Outcome& outcome) {
  EXPECT_TRUE(outcome.err.starts_with("kinglet: error: ")) << outcome.err;
  EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
  EXPECT_EQ(outcome.out, "");
}

TEST(Contract, WrongUsageIsExitStatus2AndOneLine) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"sing"},
      {"generate"},
      {"generate", "--prompt", "x"},
      {"generate", "--model", stories(), "--prompt", "x", "--backend", "abacus"},
      {"generate", "--model", stories(), "--prompt", "x", "--threads", "0"},
      {"generate", "--model", stories(), "--prompt", "x", "--threads", "1,2"},
      {"generate", "--model", stories(), "--prompt", "x", "--kv", "q3"},
      {"generate", "--model", stories(), "--prompt", "x", "--max-tokens", "many"},
      {"tokenize", "--model", stories()},
      {"tokenize", "--model", stories(), "--text", "a", "--file", "b"},
      {"detokenize", "--model", stories(), "--ids", "1 two 3"},
      {"detokenize", "--model", stories(), "--ids", "99999999999"},
      {"logits", "--model", stories(), "--ids", "1", "--out", "x.npy", "--step", "--chunk", "2"},
      {"logits", "--model", stories(), "--ids", "1"},
      {"eval", "--model", stories()},
      {"bench", "--model", stories(), "--reps", "0"},
      {"devices", "--no-such-option"},
  };
  for (const auto& words : wrong) {
    const Outcome outcome = kinglet(words);
    EXPECT_EQ(outcome.exit_status, 2) << ::testing::PrintToString(words) << outcome.err;
    expect_one_error_line(outcome);
  }
}

TEST(Contract, WorkThatFailsIsExitStatus1AndOneLine) {
  const Folder folder;
  const std::string text = folder.write("text", "a few words");
  const std::string not_gguf = folder.write("not.gguf", "this is no model");
  const std::vector<std::vector<std::string>> failing = {
      {"generate", "--model", folder / "absent.gguf", "--prompt", "x"},
      {"generate", "--model", not_gguf, "--prompt", "x"},
      {"inspect", "--model", folder / ""},
      with_model("detokenize", {"--ids", "1 100000"}),
      with_model("detokenize", {"--ids", "-1"}),
      with_model("tokenize", {"--file", folder / "absent"}),
      with_model("render", {"--context", folder / "absent"}),
      with_model("logits", {"--ids", "1 100000", "--out", folder / "x.npy"}),
      with_model("logits", {"--ids", "1 2", "--out", folder / "no/such/folder.npy"}),
      with_model("eval", {"--file", text}),
      with_model("eval", {"--file", text, "--kl-base", text}),
  };
  for (const auto& words : failing) {
    const Outcome outcome = kinglet(words);
    EXPECT_EQ(outcome.exit_status, 1) << ::testing::PrintToString(words) << outcome.err;
    expect_one_error_line(outcome);
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "x.npy")) << "a result that was not finished stays behind";
}

TEST(Contract, HelpIsExitStatus0) {
  for (const char* subcommand :
       {"devices", "inspect", "tokenize", "detokenize", "render", "generate", "features", "logits", "eval", "bench"}) {
    const Outcome outcome = kinglet({subcommand, "--help"});
    EXPECT_EQ(outcome.exit_status, 0) << subcommand;
    EXPECT_NE(outcome.out.find("--model"), std::string::npos) << subcommand;
    EXPECT_EQ(outcome.err, "");
  }
}

TEST(Contract, AClosedPipeEndsQuietly) {
  // The reader is gone before anything is written; this process ignores the signal, the command must do so by itself.
  const Folder folder;
  const std::string script =
      std::string("'") + KL_TOOL_FILE + "' devices --json 2>'" + (folder / "err") + "' | true; exit ${PIPESTATUS[0]}";
  const Outcome outcome = run_program("/bin/bash", {"-c", "for i in 1 2 3 4 5; do " + script + "; done"});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_EQ(content_of(folder / "err"), "");
}

TEST(Contract, AFullDiskIsAnError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "needs /dev/full";
  const Outcome outcome = kinglet(with_model("tokenize", {"--text", "a"}), "/dev/full");
  EXPECT_EQ(outcome.exit_status, 1);
  expect_one_error_line(outcome);
}

TEST(Contract, JsonHasASchemaAndNothingElseOnStandardOutput) {
  for (const auto& words : {std::vector<std::string>{"devices", "--json"}, with_model("inspect", {"--json"}),
                            with_model("tokenize", {"--json", "--text", "Once"}), with_model("detokenize", {"--json", "--ids", "1 403"}),
                            with_model("generate", {"--json", "--raw", "--prompt", "Once", "--max-tokens", "4"})}) {
    const Outcome outcome = kinglet(words);
    ASSERT_EQ(outcome.exit_status, 0) << outcome.err;
    const auto json = nlohmann::json::parse(outcome.out, nullptr, false);
    ASSERT_TRUE(json.is_object()) << outcome.out;
    EXPECT_EQ(json.value("schema", 0), 1);
  }
}

}  // namespace
}  // namespace kl::tool_test
