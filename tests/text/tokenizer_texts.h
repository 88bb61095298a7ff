// The random texts of the tokenizer goldens. scripts/goldens/tokenizer_texts.py makes the same ones: change both or neither.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/tokenizer_utf8.h"

namespace kl::test {

inline constexpr std::array<std::string_view, 52> kFragments = {"'s",
                                                                "'T",
                                                                "'re",
                                                                "'VE",
                                                                "'m",
                                                                "'ll",
                                                                "'D",
                                                                "\u2019re",
                                                                "don't",
                                                                "I'M",
                                                                "\u017fs'\u017f",
                                                                "def f(x):\n    return x",
                                                                "for(int i=0;i<n;++i){",
                                                                "//",
                                                                "</s>",
                                                                "<s>",
                                                                "<0x0A>",
                                                                "<|im_start|>",
                                                                "<|im_end|>",
                                                                "<think>",
                                                                "\u2581",
                                                                "\u2581\u2581",
                                                                "\U0001F600",
                                                                "\U0001F468\u200d\U0001F469\u200d\U0001F467",
                                                                "\U0001F1E9\U0001F1EA",
                                                                "\u2764\ufe0f",
                                                                "\u4f60\u597d",
                                                                "\u5b54\u5b50\u66f0\uff1a",
                                                                "\u3053\u3093\u306b\u3061\u306f",
                                                                "\uc548\ub155\ud558\uc138\uc694",
                                                                "e\u0301",
                                                                "\u00e9",
                                                                "A\u030a\u0323",
                                                                "\u1e69",
                                                                "\u00a0",
                                                                "\u200b",
                                                                "\u3000",
                                                                "\u2028",
                                                                "\u0085",
                                                                "\u00bd",
                                                                "\u00b2",
                                                                "\u2167",
                                                                "\u0967\u0968",
                                                                "\ufeff",
                                                                "\ufffd",
                                                                "http://a.b/c?d=e&f",
                                                                "1,234.56",
                                                                "3.14e-10",
                                                                "100%",
                                                                "$5",
                                                                "#include <x>",
                                                                "\\n"};
inline constexpr std::array<std::string_view, 4> kMoreFragments = {"\"quoted\"", "...", "\u2026", "\u2014"};
inline constexpr std::array<std::string_view, 11> kSpaces = {"\n", "\r\n", "\t",       "\n\n", "  \n", "\n \n",
                                                             "\r", " \t ", "\n\n\n\n", "\f",   "\v"};
// Code points in these ranges that Unicode has not assigned are so in every version.
inline constexpr std::array<std::pair<uint32_t, uint32_t>, 16> kRanges = {{{0x21, 0x7E},
                                                                           {0xA1, 0x17F},
                                                                           {0x300, 0x36F},
                                                                           {0x386, 0x3FF},
                                                                           {0x400, 0x52F},
                                                                           {0x621, 0x64A},
                                                                           {0x904, 0x939},
                                                                           {0xE01, 0xE3A},
                                                                           {0x2010, 0x2027},
                                                                           {0x2190, 0x21FF},
                                                                           {0x3041, 0x3096},
                                                                           {0x30A1, 0x30FA},
                                                                           {0x4E00, 0x9FA5},
                                                                           {0xAC00, 0xD7A3},
                                                                           {0xFF01, 0xFF5E},
                                                                           {0x1F300, 0x1F5FF}}};

class SplitMix {
 public:
  explicit SplitMix(uint64_t seed) : state_(seed) {}
  uint64_t below(uint64_t n) {
    state_ += 0x9E3779B97F4A7C15U;
    uint64_t z = state_;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return (z ^ (z >> 31U)) % n;
  }

 private:
  uint64_t state_;
};

inline std::string random_text(SplitMix& random) {
  std::string out;
  for (uint64_t parts = 1 + random.below(12); parts > 0; --parts) {
    const uint64_t kind = random.below(8);
    if (kind == 0) {
      for (uint64_t n = 1 + random.below(8); n > 0; --n) out += static_cast<char>(0x20 + random.below(0x5F));
    } else if (kind == 1) {
      if (random.below(2) != 0) out += ' ';
      for (uint64_t n = 1 + random.below(12); n > 0; --n) out += static_cast<char>('a' + random.below(26));
    } else if (kind == 2) {
      out.append(1 + random.below(6), ' ');
    } else if (kind == 3) {
      out += kSpaces[random.below(kSpaces.size())];
    } else if (kind == 4) {
      for (uint64_t n = 1 + random.below(7); n > 0; --n) out += static_cast<char>('0' + random.below(10));
    } else if (kind == 5) {
      const auto [low, high] = kRanges[random.below(kRanges.size())];
      for (uint64_t n = 1 + random.below(4); n > 0; --n) utf8_append(out, static_cast<char32_t>(low + random.below(high - low + 1)));
    } else {
      const uint64_t at = random.below(kFragments.size() + kMoreFragments.size());
      out += at < kFragments.size() ? kFragments[at] : kMoreFragments[at - kFragments.size()];
    }
  }
  return out;
}

// FNV-1a, 64 bits, over 32-bit words: the ids, and 0xffffffff after each list.
class IdsHash {
 public:
  void add(const std::vector<int32_t>& ids) {
    for (const int32_t id : ids) word(static_cast<uint32_t>(id));
    word(0xFFFFFFFFU);
  }
  uint64_t value() const { return hash_; }

 private:
  void word(uint32_t w) { hash_ = (hash_ ^ w) * 0x100000001B3U; }
  uint64_t hash_ = 0xCBF29CE484222325U;
};

}  // namespace kl::test
