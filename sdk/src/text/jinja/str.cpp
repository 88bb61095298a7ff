#include "text/jinja/str.h"

#include "text/jinja/unicode.h"

namespace kl::jinja {
namespace {
// A block at a time, without a branch a byte: compilers make vector code of it.
bool all_ascii(std::string_view text) {
  constexpr size_t kBlock = 4096;
  for (size_t at = 0; at < text.size(); at += kBlock) {
    unsigned char bits = 0;
    for (const char c : text.substr(at, kBlock)) bits = static_cast<unsigned char>(bits | static_cast<unsigned char>(c));
    if (bits >= 0x80) return false;
  }
  return true;
}
constexpr size_t kShortNeedle = 16;  // string_view::find costs at most this factor
}  // namespace

Str::Str(std::string text, bool trusted) : text_(std::move(text)), trusted_(trusted), ascii_(all_ascii(text_)) {}
Str::Str(std::string text, bool trusted, std::vector<Run> runs, bool markup)
    : text_(std::move(text)), runs_(std::move(runs)), trusted_(trusted), ascii_(all_ascii(text_)), markup_(markup) {}

size_t Str::length() const { return ascii_ ? text_.size() : count_chars(text_); }

size_t Str::offset(size_t character) const {
  if (ascii_) return std::min(character, text_.size());
  size_t pos = 0;
  for (; character > 0 && pos < text_.size(); --character) pos += width_at(text_, pos);
  return pos;
}

bool Str::trusted_at(size_t byte) const {
  bool trusted = trusted_;
  each_run(byte, byte + 1, [&](std::string_view, bool t) { trusted = t; });
  return trusted;
}

bool Str::trusted(size_t begin, size_t end) const {
  bool all = true;
  each_run(begin, end, [&](std::string_view, bool t) { all = all && t; });
  return all;
}

bool StrBuilder::room(size_t bytes) {
  if (!overflow_ && bytes <= limit_ - text_.size()) return true;
  overflow_ = true;
  return false;
}

void StrBuilder::expect(size_t bytes) {
  if (room(bytes)) text_.reserve(text_.size() + bytes);
}

void StrBuilder::append(std::string_view piece, bool trusted) {
  if (piece.empty() || !room(piece.size())) return;
  if (text_.empty()) {
    trusted_ = trusted;
  } else if (runs_.empty()) {
    if (trusted != trusted_) runs_ = {{text_.size(), trusted_}, {0, trusted}};
  } else if (runs_.back().trusted != trusted) {
    runs_.push_back({0, trusted});
  }
  text_ += piece;
  if (!runs_.empty()) runs_.back().end = text_.size();
}

void StrBuilder::append(const Str& from, size_t begin, size_t end) {
  from.each_run(begin, end, [this](std::string_view piece, bool trusted) { append(piece, trusted); });
}

void StrBuilder::repeat(std::string_view piece, size_t times, bool trusted) {
  if (piece.empty() || times == 0) return;
  if (times > limit_ / piece.size()) {
    overflow_ = true;
    return;
  }
  if (piece.size() == 1) return append(std::string(times, piece[0]), trusted);
  std::string all;
  all.reserve(piece.size() * times);
  for (size_t i = 0; i < times; ++i) all += piece;
  append(all, trusted);
}

void StrBuilder::repeat(const Str& piece, size_t times) {
  if (piece.empty() || times == 0) return;
  size_t runs = 0;
  bool trust = true;
  piece.each_run(0, piece.size(), [&](std::string_view, bool trusted) { ++runs, trust = trusted; });
  if (runs == 1) return repeat(piece.text(), times, trust);
  for (size_t i = 0; i < times && !overflow_; ++i) append(piece);
}

Str StrBuilder::take(bool markup) { return Str(std::move(text_), trusted_, std::move(runs_), markup); }

Finder::Finder(std::string_view needle) : needle_(needle) {
  if (needle.size() <= kShortNeedle) return;
  border_.assign(needle.size(), 0);
  for (size_t i = 1, k = 0; i < needle.size(); ++i) {
    while (k > 0 && needle[i] != needle[k]) k = border_[k - 1];
    if (needle[i] == needle[k]) ++k;
    border_[i] = static_cast<uint32_t>(k);
  }
}

void Finder::each(std::string_view text, bool overlapping, const std::function<bool(size_t)>& found) const {
  if (border_.empty()) {
    for (size_t at = text.find(needle_); at != std::string_view::npos; at = text.find(needle_, at + (overlapping ? 1 : needle_.size()))) {
      if (!found(at)) return;
    }
    return;
  }
  size_t k = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    while (k > 0 && text[i] != needle_[k]) k = border_[k - 1];
    if (text[i] == needle_[k]) ++k;
    if (k == needle_.size()) {
      if (!found(i + 1 - k)) return;
      k = overlapping ? border_[k - 1] : 0;
    }
  }
}

size_t Finder::first(std::string_view text) const {
  size_t at = std::string_view::npos;
  each(text, false, [&](size_t found) { return at = found, false; });
  return at;
}

size_t Finder::last(std::string_view text) const {
  size_t at = std::string_view::npos;
  each(text, true, [&](size_t found) { return at = found, true; });
  return at;
}

}  // namespace kl::jinja
