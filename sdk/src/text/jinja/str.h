// Text that remembers where each of its bytes came from: the template (trusted) or content (not trusted). Special tokens may be made of trusted bytes only
// (rule R15), so every operation on strings carries the origin along.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/budget.h"

namespace kl::jinja {

// Bytes up to `end` (from the end of the run before) have this origin.
struct Run {
  size_t end;
  bool trusted;
};

// An immutable Python str: UTF-8 bytes, their origin, and whether it is a "safe" (Markup) string. Thread-safe to read.
class Str {
 public:
  Str() = default;
  Str(std::string text, bool trusted);
  // runs: in order, the last ends at text.size(); empty when the whole text has the origin `trusted`.
  Str(std::string text, bool trusted, std::vector<Run> runs, bool markup);

  std::string_view text() const { return text_; }
  size_t size() const { return text_.size(); }
  bool empty() const { return text_.empty(); }
  bool ascii() const { return ascii_; }
  bool markup() const { return markup_; }
  size_t length() const;                  // characters
  size_t offset(size_t character) const;  // its first byte; size() behind the end
  size_t memory() const { return sizeof(Str) + text_.capacity() + runs_.capacity() * sizeof(Run); }
  void hold(Charge charge) { charge_ = std::move(charge); }

  // visit(piece, trusted) for the runs of the bytes [begin, end).
  template <class Visit>
  void each_run(size_t begin, size_t end, Visit visit) const {
    if (begin >= end) return;
    if (runs_.empty()) return visit(text().substr(begin, end - begin), trusted_);
    auto run = std::upper_bound(runs_.begin(), runs_.end(), begin, [](size_t at, const Run& r) { return at < r.end; });
    for (; begin < end && run != runs_.end(); ++run) {
      const size_t stop = std::min(end, run->end);
      visit(text().substr(begin, stop - begin), run->trusted);
      begin = stop;
    }
  }
  bool trusted_at(size_t byte) const;
  bool trusted() const { return trusted(0, size()); }  // every byte of it
  bool trusted(size_t begin, size_t end) const;

 private:
  std::string text_;
  std::vector<Run> runs_;
  Charge charge_;
  bool trusted_ = true;
  bool ascii_ = true;
  bool markup_ = false;
};
using StrRef = std::shared_ptr<const Str>;

// Text being put together, never longer than its limit: what would pass it is dropped and remembered as overflow.
class StrBuilder {
 public:
  explicit StrBuilder(size_t limit) : limit_(limit) {}

  // At least so many bytes are to come: what cannot fit is an overflow before any of them is written.
  void expect(size_t bytes);
  void append(std::string_view piece, bool trusted);
  void append(const Str& from) { append(from, 0, from.size()); }
  void append(const Str& from, size_t begin, size_t end);
  void repeat(std::string_view piece, size_t times, bool trusted);
  void repeat(const Str& piece, size_t times);
  void literal(std::string_view piece) { append(piece, true); }

  size_t size() const { return text_.size(); }
  std::string_view text() const { return text_; }
  bool overflow() const { return overflow_; }
  void set_overflow() { overflow_ = true; }
  size_t limit() const { return limit_; }
  Str take(bool markup = false);

 private:
  bool room(size_t bytes);

  size_t limit_;
  std::string text_;
  std::vector<Run> runs_;
  bool trusted_ = true;
  bool overflow_ = false;
};

// Searches in linear time whatever the texts (a needle of 8 MiB in 16 MiB is content too).
class Finder {
 public:
  explicit Finder(std::string_view needle);
  // found(byte offset) -> go on? for each occurrence in text; without overlap unless asked. Precondition: the needle is not empty.
  void each(std::string_view text, bool overlapping, const std::function<bool(size_t)>& found) const;
  size_t first(std::string_view text) const;  // npos: none
  size_t last(std::string_view text) const;

 private:
  std::string_view needle_;
  std::vector<uint32_t> border_;  // Knuth-Morris-Pratt table, for needles longer than a few bytes
};

}  // namespace kl::jinja
