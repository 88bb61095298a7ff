#include "text/jinja/unescape.h"

#include <charconv>

#include "text/jinja/unicode.h"

namespace kl::jinja {
namespace {

Result<char32_t> hex(std::string_view literal, size_t& pos, size_t digits, char letter) {
  uint32_t code = 0;
  const std::string_view text = literal.substr(pos, digits);
  const auto [rest, fault] = std::from_chars(text.data(), text.data() + text.size(), code, 16);
  if (text.size() != digits || fault != std::errc() || rest != text.data() + text.size()) {
    return error(Code::invalid_argument, "the escape \\%c needs %zu hexadecimal digits", letter, digits);
  }
  if (code > 0x10FFFF) return error(Code::invalid_argument, "the escape \\%c names no Unicode character", letter);
  if (code >= 0xD800 && code <= 0xDFFF)
    return error(Code::unsupported, "the escape \\%c names a surrogate, which no UTF-8 text holds", letter);
  pos += digits;
  return static_cast<char32_t>(code);
}

}  // namespace

Result<std::string> unescape(std::string_view literal) {
  std::string out;
  out.reserve(literal.size());
  for (size_t pos = 0; pos < literal.size();) {
    if (literal[pos] != '\\' || pos + 1 >= literal.size()) {
      out += literal[pos++];
      continue;
    }
    const size_t at = ++pos;
    const char c = literal[pos++];
    switch (c) {
      case '\n':
        break;
      case '\\':
      case '\'':
      case '"':
        out += c;
        break;
      case 'a':
        out += '\a';
        break;
      case 'b':
        out += '\b';
        break;
      case 'f':
        out += '\f';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case 'v':
        out += '\v';
        break;
      case 'x':
      case 'u':
      case 'U': {
        KL_ASSIGN(const char32_t code, hex(literal, pos, c == 'x' ? 2 : c == 'u' ? 4 : 8, c));
        encode(code, out);
        break;
      }
      case 'N':
        return error(Code::unsupported, "the escape \\N{...} is not supported");
      default:
        if (c >= '0' && c <= '7') {
          char32_t code = static_cast<char32_t>(c - '0');
          for (int i = 0; i < 2 && pos < literal.size() && literal[pos] >= '0' && literal[pos] <= '7'; ++i) {
            code = code * 8 + static_cast<char32_t>(literal[pos++] - '0');
          }
          encode(code, out);
        } else if (static_cast<unsigned char>(c) < 0x80) {
          out += '\\';
          out += c;
        } else {
          // Python first writes a non-ASCII character as an escape, so a backslash before it escapes that escape.
          pos = at;
          const char32_t code = decode(literal, pos);
          out += code > 0xFFFF ? format("\\U%08x", static_cast<unsigned>(code))
                 : code > 0xFF ? format("\\u%04x", static_cast<unsigned>(code))
                               : format("\\x%02x", static_cast<unsigned>(code));
        }
    }
  }
  return out;
}

}  // namespace kl::jinja
