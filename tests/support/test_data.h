// Where the tests' files are: this folder of the source tree, or $KINGLET_TEST_DATA on a machine that did not build the tests (scripts/bench_gpu.sh brings a copy).
#pragma once
#include <cstdlib>
#include <string>

namespace kl {

inline std::string test_data() {
  const char* elsewhere = std::getenv("KINGLET_TEST_DATA");
  return elsewhere != nullptr ? elsewhere : KL_TEST_DATA;
}

}  // namespace kl
