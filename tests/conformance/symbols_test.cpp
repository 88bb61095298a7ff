// What the objects of the library refer to: nothing that ends the process, nothing that prints, and no static initialisers.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace kl::conformance {
namespace {

struct Symbol {
  std::string object;  // "gguf.cpp.o"
  char kind;           // as nm writes it: U is an undefined reference
  std::string name;
};

std::vector<Symbol> symbols_of_library() {
  std::vector<Symbol> symbols;
  const std::string command = std::string("nm -A '") + KL_LIBRARY_FILE + "' 2>/dev/null";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  if (pipe == nullptr) return symbols;
  char buffer[8192];
  while (std::fgets(buffer, sizeof buffer, pipe.get()) != nullptr) {
    const std::string line(buffer);  // "libkinglet.a:gguf.cpp.o:0000000000000000 T name" or with blanks and U
    const size_t first = line.find(".a:");
    const size_t second = first == std::string::npos ? first : line.find(':', first + 3);
    if (second == std::string::npos) continue;
    std::istringstream words(line.substr(second + 1));
    std::string address;
    std::string kind;
    std::string name;
    words >> address;
    if (address.size() == 1) {
      kind = address;
    } else {
      words >> kind;
    }
    words >> name;
    if (kind.size() == 1 && !name.empty()) symbols.push_back({line.substr(first + 3, second - first - 3), kind[0], name});
  }
  return symbols;
}

// std::terminate is not among them: <thread> refers to it in the destructor of std::thread, and the compiler in the landing pads of noexcept
// functions. That our own source does not call it is a test of files_test.cpp.
const std::set<std::string> kEndsTheProcess = {"abort", "exit",         "_exit",   "_Exit",    "quick_exit", "__assert_fail",
                                               "raise", "pthread_exit", "longjmp", "_longjmp", "siglongjmp", "__longjmp_chk"};
const std::set<std::string> kPrints = {"printf",       "vprintf",       "puts",      "putchar",   "perror",    "stdout",     "stderr",
                                       "__printf_chk", "__vprintf_chk", "_ZSt4cout", "_ZSt4cerr", "_ZSt4clog", "_ZSt5wcout", "psignal"};

// libjpeg and libpng report errors by longjmp; these two files turn it into values, in functions without destructors.
const std::set<std::string> kMayJump = {"decode_jpeg.cpp.o", "decode_png.cpp.o"};

bool allowed(const Symbol& symbol) { return symbol.name.ends_with("longjmp") && kMayJump.contains(symbol.object); }

void expect_none(const std::set<std::string>& forbidden) {
  const std::vector<Symbol> symbols = symbols_of_library();
  ASSERT_GT(symbols.size(), 100U) << "nm listed almost nothing of " << KL_LIBRARY_FILE;
  for (const Symbol& symbol : symbols) {
    EXPECT_FALSE(symbol.kind == 'U' && forbidden.contains(symbol.name) && !allowed(symbol))
        << symbol.object << " refers to " << symbol.name;
  }
}

class Symbols : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::string(KL_LIBRARY_FILE).ends_with(".a"))
      GTEST_SKIP() << "the library is shared in this build; its objects are looked at in the static one";
    if (std::string(KL_SANITIZED) != "") GTEST_SKIP() << "sanitizers add references of their own; the release build is looked at";
  }
};

TEST_F(Symbols, TheLibraryNeverEndsTheProcess) { expect_none(kEndsTheProcess); }
TEST_F(Symbols, TheLibraryNeverPrints) { expect_none(kPrints); }

TEST_F(Symbols, TheLibraryHasNoStaticInitialisers) {
  size_t defined = 0;
  for (const Symbol& symbol : symbols_of_library()) {
    defined += symbol.kind == 'T' ? 1 : 0;
    EXPECT_FALSE(symbol.name.starts_with("_GLOBAL__sub_I")) << symbol.object << " runs code before main";
  }
  EXPECT_GT(defined, 50U);
}

TEST_F(Symbols, EveryCallOfTheCBoundaryIsDefined) {
  std::set<std::string> defined;
  for (const Symbol& symbol : symbols_of_library()) {
    if (symbol.kind == 'T') defined.insert(symbol.name);
  }
  std::istringstream names(KL_API_NAMES);
  size_t count = 0;
  for (std::string name; names >> name; ++count) EXPECT_TRUE(defined.contains(name)) << name << " is declared and not defined";
  EXPECT_GT(count, 30U);
}

}  // namespace
}  // namespace kl::conformance
