// UTF-8 and the character classes of Python's str, over utf8proc. Every function accepts any bytes: what is not UTF-8 counts as one character a byte.
// Thread-safe (no state).
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace kl::jinja {

// The character at text[pos] (pos < size) and moves pos behind it; U+FFFD for a broken byte.
char32_t decode(std::string_view text, size_t& pos);
void encode(char32_t c, std::string& out);
bool valid_utf8(std::string_view text);
// Bytes of the character that starts at text[pos].
size_t width_at(std::string_view text, size_t pos);
// Start of the character before pos (pos > 0).
size_t before(std::string_view text, size_t pos);
size_t count_chars(std::string_view text);

bool is_space(char32_t c);      // str.isspace, and \s of a pattern
bool is_printable(char32_t c);  // what repr() shows unescaped
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_numeric(char32_t c);
int digit_value(char32_t c);  // 0 to 9 of a decimal digit of any script, else -1
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_cased(char32_t c);
bool is_name(char32_t c);        // may stand in an identifier
bool is_line_break(char32_t c);  // str.splitlines

// Full case mappings (one character may become several), appended to out.
void append_upper(char32_t c, std::string& out);
void append_title(char32_t c, std::string& out);
void append_lower(char32_t c, std::string& out);

}  // namespace kl::jinja
