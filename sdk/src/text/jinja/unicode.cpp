#include "text/jinja/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

namespace kl::jinja {
namespace {

int category(char32_t c) { return static_cast<int>(utf8proc_category(static_cast<utf8proc_int32_t>(c))); }

// Bytes of the well-formed character at text[pos], 0 when there is none (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
size_t well_formed(std::string_view text, size_t pos) {
  const auto at = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto tail = [&](size_t i) { return (at(i) & 0xC0u) == 0x80u; };
  const unsigned b0 = at(pos), b1 = at(pos + 1);
  if (b0 < 0x80) return 1;
  if (b0 >= 0xC2 && b0 <= 0xDF) return tail(pos + 1) ? 2 : 0;
  if (b0 >= 0xE0 && b0 <= 0xEF) {
    if (!tail(pos + 1) || !tail(pos + 2)) return 0;
    return (b0 == 0xE0 && b1 < 0xA0) || (b0 == 0xED && b1 > 0x9F) ? 0 : 3;
  }
  if (b0 >= 0xF0 && b0 <= 0xF4) {
    if (!tail(pos + 1) || !tail(pos + 2) || !tail(pos + 3)) return 0;
    return (b0 == 0xF0 && b1 < 0x90) || (b0 == 0xF4 && b1 > 0x8F) ? 0 : 4;
  }
  return 0;
}

// Upper-case forms of more than one character (Unicode SpecialCasing.txt, unconditional), the ones of living text.
struct Special {
  char32_t from;
  const char* upper;
  const char* title;
};
constexpr std::array<Special, 10> kSpecial = {{{0xDF, "SS", "Ss"},
                                               {0x149, "\xCA\xBCN", "\xCA\xBCN"},
                                               {0x1F0, "J\xCC\x8C", "J\xCC\x8C"},
                                               {0xFB00, "FF", "Ff"},
                                               {0xFB01, "FI", "Fi"},
                                               {0xFB02, "FL", "Fl"},
                                               {0xFB03, "FFI", "Ffi"},
                                               {0xFB04, "FFL", "Ffl"},
                                               {0xFB05, "ST", "St"},
                                               {0xFB06, "ST", "St"}}};

const Special* special(char32_t c) {
  if (c < 0xDF) return nullptr;
  const auto* found = std::find_if(kSpecial.begin(), kSpecial.end(), [c](const Special& s) { return s.from == c; });
  return found == kSpecial.end() ? nullptr : found;
}

}  // namespace

char32_t decode(std::string_view text, size_t& pos) {
  const size_t n = well_formed(text, pos);
  const auto at = [&](size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[i])); };
  const size_t p = pos;
  pos += n == 0 ? 1 : n;
  switch (n) {
    case 1:
      return at(p);
    case 2:
      return ((at(p) & 0x1F) << 6) | (at(p + 1) & 0x3F);
    case 3:
      return ((at(p) & 0x0F) << 12) | ((at(p + 1) & 0x3F) << 6) | (at(p + 2) & 0x3F);
    case 4:
      return ((at(p) & 0x07) << 18) | ((at(p + 1) & 0x3F) << 12) | ((at(p + 2) & 0x3F) << 6) | (at(p + 3) & 0x3F);
    default:
      return 0xFFFD;
  }
}

void encode(char32_t c, std::string& out) {
  if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) c = 0xFFFD;
  const auto put = [&](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | (c >> 6)), put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | (c >> 12)), put(0x80 | ((c >> 6) & 0x3F)), put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | (c >> 18)), put(0x80 | ((c >> 12) & 0x3F)), put(0x80 | ((c >> 6) & 0x3F)), put(0x80 | (c & 0x3F));
  }
}

bool valid_utf8(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    const size_t n = well_formed(text, pos);
    if (n == 0) return false;
    pos += n;
  }
  return true;
}

size_t width_at(std::string_view text, size_t pos) {
  const size_t n = well_formed(text, pos);
  return n == 0 ? 1 : n;
}

size_t before(std::string_view text, size_t pos) {
  for (size_t back = 1; back <= 4 && back <= pos; ++back) {
    if (well_formed(text, pos - back) == back) return pos - back;
  }
  return pos - 1;
}

size_t count_chars(std::string_view text) {
  size_t count = 0;
  for (size_t pos = 0; pos < text.size(); pos += width_at(text, pos)) ++count;
  return count;
}

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

bool is_printable(char32_t c) {
  if (c < 0x7F) return c >= 0x20;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_alpha(char32_t c) {
  const int k = category(c);
  return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}
bool is_decimal(char32_t c) { return c < 0x80 ? c >= '0' && c <= '9' : category(c) == UTF8PROC_CATEGORY_ND; }
int digit_value(char32_t c) {
  if (!is_decimal(c)) return -1;
  if (c < 0x80) return static_cast<int>(c - '0');
  char32_t first = c;  // digits come in tens; neighbouring tens exist (mathematical digits)
  while (is_decimal(first - 1)) --first;
  return static_cast<int>((c - first) % 10);
}
bool is_numeric(char32_t c) {
  const int k = category(c);
  return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}
bool is_upper(char32_t c) { return c < 0x80 ? c >= 'A' && c <= 'Z' : category(c) == UTF8PROC_CATEGORY_LU; }
bool is_lower(char32_t c) {
  return c < 0x80 ? c >= 'a' && c <= 'z'
                  : category(c) == UTF8PROC_CATEGORY_LL || c == 0xAA || c == 0xBA;  // the ordinals are lower case in Unicode
}
bool is_cased(char32_t c) { return is_upper(c) || is_lower(c) || (c >= 0x80 && category(c) == UTF8PROC_CATEGORY_LT); }

bool is_name(char32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  const int k = category(c);
  return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO) || k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC ||
         k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_PC;
}

bool is_line_break(char32_t c) { return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029; }

void append_upper(char32_t c, std::string& out) {
  if (const Special* s = special(c)) {
    out += s->upper;
  } else {
    encode(static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))), out);
  }
}
void append_title(char32_t c, std::string& out) {
  if (const Special* s = special(c)) {
    out += s->title;
  } else {
    encode(static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))), out);
  }
}
void append_lower(char32_t c, std::string& out) {
  if (c == 0x130) {
    out += "i\xCC\x87";  // capital I with dot: i and a combining dot
  } else {
    encode(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
  }
}

}  // namespace kl::jinja
