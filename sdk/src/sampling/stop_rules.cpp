#include "sampling/stop_rules.h"

#include <algorithm>

namespace kl {

bool is_utf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  for (size_t i = 0; i < text.size();) {
    const unsigned lead = byte(i);
    const size_t length = lead < 0x80                   ? 1
                          : lead >= 0xC2 && lead < 0xE0 ? 2
                          : lead >= 0xE0 && lead < 0xF0 ? 3
                          : lead >= 0xF0 && lead < 0xF5 ? 4
                                                        : 0;
    if (length == 0 || length > text.size() - i) return false;
    if (length > 1) {
      const unsigned second = byte(i + 1);
      const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;   // shorter forms exist below
      const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;  // surrogates; beyond U+10FFFF
      if (second < low || second > high) return false;
    }
    for (size_t k = 2; k < length; ++k) {
      if ((byte(i + k) & 0xC0) != 0x80) return false;
    }
    i += length;
  }
  return true;
}

Result<StopTexts> StopTexts::create(std::vector<std::string> texts) {
  if (texts.size() > kMaxTexts) return error(Code::invalid_argument, "%zu stop texts, at most %zu are allowed", texts.size(), kMaxTexts);
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty() || texts[i].size() > kMaxBytes) {
      return error(Code::invalid_argument, "stop text %zu has %zu bytes, 1 to %zu are allowed", i, texts[i].size(), kMaxBytes);
    }
    if (!is_utf8(texts[i])) return error(Code::invalid_argument, "stop text %zu is not valid UTF-8", i);
  }
  StopTexts stops;
  stops.texts_ = std::move(texts);
  return stops;
}

bool StopTexts::push(std::string_view piece, std::string& out) {
  if (matched_) return true;
  held_ += piece;
  size_t first = std::string::npos;
  for (const std::string& text : texts_) first = std::min(first, held_.find(text));
  if (first != std::string::npos) {
    out.append(held_, 0, first);
    held_.clear();
    matched_ = true;
    return true;
  }
  // Keep the longest end of the text that begins a stop text. It starts on a character border, because the stop text does.
  size_t keep = 0;
  for (const std::string& text : texts_) {
    for (size_t n = std::min(text.size() - 1, held_.size()); n > keep; --n) {
      if (held_.compare(held_.size() - n, n, text, 0, n) == 0) keep = n;
    }
  }
  out.append(held_, 0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return false;
}

void StopTexts::flush(std::string& out) {
  if (!matched_) out += held_;
  held_.clear();
}

}  // namespace kl
