#include "models/bits.h"

namespace kl {
namespace {

std::string tiny(const char* name) { return std::string(KL_TEST_DATA) + "/golden/models/" + name + ".gguf"; }

TEST(Bits, DoNotDependOnThreadsChunksStepsOrMates) { expect_equal_bits(tiny("llama-q4_1"), 6, 60); }

// Window layers free pages behind them while others keep theirs.
TEST(Bits, DoNotDependOnThemWithSlidingWindowsEither) { expect_equal_bits(tiny("gemma3-q4_0"), 4, 90); }

}  // namespace
}  // namespace kl
