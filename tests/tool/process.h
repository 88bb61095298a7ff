// Runs the kinglet command, and keeps what it said.
#pragma once
#include "support/program.h"

namespace kl::tool_test {

inline Outcome kinglet(std::vector<std::string> words, const std::string& out_path = "") {
  return run_program(KL_TOOL_FILE, std::move(words), out_path);
}

inline std::string stories() { return KL_TEST_DATA "/data/stories260K.gguf"; }

// The subcommand with the fixture model and nothing written to the user's cache.
inline std::vector<std::string> with_model(const std::string& subcommand, std::vector<std::string> words) {
  words.insert(words.begin(), {subcommand, "--model", stories(), "--cache-dir", "", "--quiet"});
  return words;
}

}  // namespace kl::tool_test
