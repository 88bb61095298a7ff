#include "text/jinja/numbers.h"

#include <charconv>
#include <cmath>
#include <string>

#include "text/jinja/format.h"
#include "text/jinja/unicode.h"

namespace kl::jinja {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty()) {
    size_t next = 0;
    if (!is_space(decode(text, next))) break;
    text.remove_prefix(next);
  }
  while (!text.empty()) {
    const size_t last = before(text, text.size());
    size_t p = last;
    if (!is_space(decode(text, p))) break;
    text = text.substr(0, last);
  }
  return text;
}

// Digits of every script as ASCII, and underscores between digits taken out; nothing when one stands elsewhere.
std::optional<std::string> without_underscores(std::string_view given) {
  std::string text, out;
  for (size_t pos = 0; pos < given.size();) {
    const char32_t c = decode(given, pos);
    if (const int digit = digit_value(c); digit >= 0) {
      text += static_cast<char>('0' + digit);
    } else {
      encode(c, text);
    }
  }
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const auto alnum = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    if (i == 0 || i + 1 == text.size() || !alnum(text[i - 1]) || !alnum(text[i + 1])) return std::nullopt;
  }
  return out;
}

}  // namespace

std::optional<int64_t> parse_int(std::string_view text, int64_t base, bool& too_big) {
  too_big = false;
  text = trimmed(text);
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const char letter = text.size() > 1 && text[0] == '0' ? static_cast<char>(text[1] | 0x20) : '\0';
  const int prefix = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
  if (prefix != 0 && (base == prefix || base == 0)) {
    base = prefix;
    text.remove_prefix(2);
    if (!text.empty() && text[0] == '_') text.remove_prefix(1);
  } else if (base == 0) {
    base = 10;
    if (text.size() > 1 && text[0] == '0' && text.find_first_not_of("0_") != std::string_view::npos) return std::nullopt;
  }
  const std::optional<std::string> digits = without_underscores(text);
  if (!digits || digits->empty() || (*digits)[0] == '-') return std::nullopt;
  int64_t value = 0;
  const std::string all = (negative ? "-" : "") + *digits;
  const auto [end, fault] = std::from_chars(all.data(), all.data() + all.size(), value, static_cast<int>(base));
  if (end != all.data() + all.size()) return std::nullopt;
  too_big = fault == std::errc::result_out_of_range;
  if (fault != std::errc()) return std::nullopt;
  return value;
}

std::optional<double> parse_float(std::string_view text) {
  text = trimmed(text);
  const std::optional<std::string> bare = without_underscores(text);
  if (!bare || bare->empty()) return std::nullopt;
  std::string digits = *bare;
  if (digits[0] == '+') digits.erase(0, 1);
  if (digits.empty() || digits[0] == '+' || digits.find_first_of("(xX") != std::string::npos)
    return std::nullopt;  // from_chars knows nan(...)
  double value = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (end != digits.data() + digits.size()) return std::nullopt;
  if (fault == std::errc::result_out_of_range) {
    const bool tiny = digits.find("e-") != std::string::npos || digits.find("E-") != std::string::npos;
    return std::copysign(tiny ? 0.0 : HUGE_VAL, digits[0] == '-' ? -1.0 : 1.0);
  }
  return fault == std::errc() ? std::optional<double>(value) : std::nullopt;
}

Result<double> round_float(double value, int64_t digits) {
  if (!std::isfinite(value) || digits > 330) return value;
  if (digits < -310) return std::copysign(0.0, value);
  if (digits >= 0) {
    const std::string text = float_digits(value, 'f', static_cast<int>(digits));
    double out = 0;
    std::from_chars(text.data(), text.data() + text.size(), out);
    return out;
  }
  const double unit = std::pow(10.0, static_cast<double>(-digits));
  const double scaled = value / unit;
  double whole = std::round(scaled);
  if (std::abs(scaled - std::trunc(scaled)) == 0.5) whole = 2.0 * std::round(scaled / 2.0);
  return whole * unit;
}

}  // namespace kl::jinja
