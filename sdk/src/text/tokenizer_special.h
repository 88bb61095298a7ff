// Finding special tokens in a text of mixed origin.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace kl {

// Which characters of a text came from the template: stretches in order, without gaps.
class TrustMap {
 public:
  // The next `length` bytes. At least 0; neighbours of one kind become one stretch.
  void append(size_t length, bool trusted);
  // All of [begin, end) is trusted. Queries must come with begin ascending. Precondition: begin < end <= the bytes appended.
  bool trusted(size_t begin, size_t end);

 private:
  struct Stretch {
    size_t end;
    bool trusted;
  };
  std::vector<Stretch> stretches_;
  size_t at_ = 0;  // the stretch of the last query
};

// The special tokens of a vocabulary, which must outlive it. Shareable between threads.
class SpecialTokens {
 public:
  explicit SpecialTokens(const Vocabulary& vocabulary);

  struct Match {
    size_t begin = 0, end = 0;
    TokenId token = -1;
  };
  // The first match at or after `from`, the longest there: control and unknown tokens in trusted characters only, user-defined ones
  // anywhere.
  std::optional<Match> next(std::string_view text, size_t from, TrustMap& trust) const;

 private:
  struct Entry {
    std::string_view text;
    TokenId token;
    bool needs_trust;
  };
  std::vector<Entry> entries_;              // by text
  std::array<uint32_t, 257> first_byte_{};  // entries whose text begins with byte b: [first_byte_[b], first_byte_[b + 1])
};

}  // namespace kl
