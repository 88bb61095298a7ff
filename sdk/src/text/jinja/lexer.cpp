#include "text/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "text/jinja/unescape.h"
#include "text/jinja/unicode.h"

namespace kl::jinja {
namespace {

bool ascii_space(char c) { return c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31); }
bool digit(char c) { return c >= '0' && c <= '9'; }

// \r\n and \r become \n; one newline at the very end is dropped.
std::string normalized(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
      out += '\n';
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

}  // namespace

Lexer::Lexer(std::string_view source) : held_(normalized(source)), source_(held_) {}

void Lexer::more(std::deque<Token>& tokens) {
  tokens_ = &tokens;
  const size_t before = tokens.size();
  while (status_.ok() && pos_ < source_.size() && tokens.size() == before) status_ = text();  // a comment gives no token
  if (!status_.ok() || tokens.size() == before) push(Tok::eof);
}

Status Lexer::fail(const std::string& what) const { return error(Code::invalid_argument, "line %d: %s", line_, what.c_str()); }

Token& Lexer::push(Tok kind, std::string text) {
  tokens_->push_back(Token{kind, std::move(text), 0, 0, line_});
  return tokens_->back();
}

void Lexer::advance(size_t bytes) {
  const std::string_view passed = source_.substr(pos_, bytes);
  line_ += static_cast<int>(std::count(passed.begin(), passed.end(), '\n'));
  pos_ += passed.size();
  line_start_ = !passed.empty() && passed.back() == '\n';
}

void Lexer::skip_space() {
  size_t end = pos_;
  while (end < source_.size()) {
    size_t next = end;
    if (!is_space(decode(source_, next))) break;
    end = next;
  }
  if (end > pos_) advance(end - pos_);
}

// Text up to the next tag, and the tag's opening.
Status Lexer::text() {
  size_t open = pos_;
  for (;; ++open) {
    open = source_.find('{', open);
    if (open == std::string_view::npos || open + 1 >= source_.size()) {
      push(Tok::data, std::string(source_.substr(pos_)));
      advance(source_.size() - pos_);
      return {};
    }
    const char c = source_[open + 1];
    if (c == '%' || c == '{' || c == '#') break;
  }
  const char kind = source_[open + 1];
  const char sign = open + 2 < source_.size() && (source_[open + 2] == '-' || source_[open + 2] == '+') ? source_[open + 2] : '\0';
  data(open, sign, kind != '{');
  advance(sign ? 3 : 2);
  line_start_ = false;
  if (kind == '#') return comment();
  if (kind == '%' && raw_follows()) return raw();
  push(kind == '%' ? Tok::block_begin : Tok::variable_begin);
  return tag(kind == '%');
}

// The text before a tag, cut as its sign and lstrip_blocks ask.
void Lexer::data(size_t end, char sign, bool block) {
  std::string_view text = source_.substr(pos_, end - pos_);
  if (sign == '-') {
    while (!text.empty()) {
      size_t last = before(text, text.size());
      size_t p = last;
      if (!is_space(decode(text, p))) break;
      text = text.substr(0, last);
    }
  } else if (sign != '+' && block) {
    const size_t newline = text.rfind('\n');
    const size_t start = newline == std::string_view::npos ? 0 : newline + 1;
    bool blank = start > 0 || line_start_;
    for (size_t p = start; blank && p < text.size();) blank = is_space(decode(text, p));
    if (blank) text = text.substr(0, start);
  }
  if (!text.empty()) push(Tok::data, std::string(text));
  if (end > pos_) advance(end - pos_);
}

Status Lexer::comment() {
  const size_t end = source_.find("#}", pos_);
  if (end == std::string_view::npos) return fail("a comment is not closed with #}");
  close_block(end);
  return {};
}

// Behind the two closing characters at `end`: '-' before them eats all space that follows, else (trim_blocks) one newline unless '+'.
void Lexer::close_block(size_t end) {
  const char sign = end > pos_ ? source_[end - 1] : '\0';
  advance(end + 2 - pos_);
  if (sign == '-') {
    skip_space();
  } else if (sign != '+' && peek() == '\n') {
    advance(1);
  }
}

bool Lexer::raw_follows() const {
  size_t p = pos_;
  while (p < source_.size() && ascii_space(source_[p])) ++p;
  if (source_.substr(p, 3) != "raw") return false;
  p += 3;
  while (p < source_.size() && ascii_space(source_[p])) ++p;
  return source_.substr(p, 2) == "%}" || source_.substr(p, 3) == "-%}";
}

Status Lexer::raw() {
  const size_t close = source_.find("%}", pos_);
  const bool strip = source_[close - 1] == '-';
  advance(close + 2 - pos_);
  if (strip) skip_space();
  for (size_t open = source_.find("{%", pos_); open != std::string_view::npos; open = source_.find("{%", open + 1)) {
    size_t p = open + 2;
    const char sign = p < source_.size() && (source_[p] == '-' || source_[p] == '+') ? source_[p] : '\0';
    if (sign) ++p;
    while (p < source_.size() && ascii_space(source_[p])) ++p;
    if (source_.substr(p, 6) != "endraw") continue;
    p += 6;
    while (p < source_.size() && ascii_space(source_[p])) ++p;
    const size_t mark = p < source_.size() && (source_[p] == '-' || source_[p] == '+') ? 1 : 0;
    if (source_.substr(p + mark, 2) != "%}") continue;
    data(open, sign, true);
    close_block(p + mark);
    return {};
  }
  return fail("a raw block is not closed with {% endraw %}");
}

Status Lexer::tag(bool block) {
  std::vector<char> open;  // closing characters still to come
  for (;;) {
    skip_space();
    if (pos_ >= source_.size()) return fail(block ? "a statement is not closed with %}" : "an expression is not closed with }}");
    if (open.empty()) {
      const std::string_view end = block ? "%}" : "}}";
      const bool sign = peek() == '-' || (block && peek() == '+');
      if (source_.substr(pos_ + (sign ? 1 : 0), 2) == end) {
        push(block ? Tok::block_end : Tok::variable_end);
        if (block) {
          close_block(pos_ + (sign ? 1 : 0));
        } else {
          advance(sign ? 3 : 2);
          line_start_ = false;
          if (sign) skip_space();
        }
        return {};
      }
    }
    KL_TRY(token(open));
  }
}

Status Lexer::token(std::vector<char>& open) {
  const char c = peek();
  if (digit(c)) return number();
  if (c == '"' || c == '\'') return string(c);
  size_t end = pos_;
  while (end < source_.size()) {
    size_t next = end;
    if (!is_name(decode(source_, next))) break;
    end = next;
  }
  if (end > pos_) {
    push(Tok::name, std::string(source_.substr(pos_, end - pos_)));
    advance(end - pos_);
    return {};
  }
  static constexpr std::array<std::string_view, 26> kOperators = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                                                  "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
  const auto* op = std::find_if(kOperators.begin(), kOperators.end(), [&](std::string_view o) { return at(o); });
  if (op == kOperators.end()) {
    return fail(format("unexpected character '%.*s'", static_cast<int>(width_at(source_, pos_)), source_.data() + pos_));
  }
  if (*op == "{" || *op == "(" || *op == "[") open.push_back(c == '{' ? '}' : c == '(' ? ')' : ']');
  if (*op == "}" || *op == ")" || *op == "]") {
    if (open.empty() || open.back() != c) return fail(format("unexpected '%c'", c));
    open.pop_back();
  }
  push(Tok::op, std::string(*op));
  advance(op->size());
  return {};
}

// Digits with single underscores between them; moves p behind them. False when there is none.
bool Lexer::digits(size_t& p, std::string& out) const {
  if (p >= source_.size() || !digit(source_[p])) return false;
  while (p < source_.size()) {
    if (digit(source_[p])) {
      out += source_[p++];
    } else if (source_[p] == '_' && p + 1 < source_.size() && digit(source_[p + 1])) {
      ++p;
    } else {
      break;
    }
  }
  return true;
}

Status Lexer::number() {
  size_t p = pos_;
  std::string text;
  const char second = peek(1) | 0x20;
  const int base = peek() != '0' ? 10 : second == 'x' ? 16 : second == 'o' ? 8 : second == 'b' ? 2 : 10;
  const bool after_dot = pos_ > 0 && source_[pos_ - 1] == '.';
  if (base != 10) return based(base);
  digits(p, text);
  bool real = false;
  if (!after_dot) {
    size_t q = p;
    std::string tail;
    if (q < source_.size() && source_[q] == '.') {
      tail = ".";
      if (digits(++q, tail)) real = true, p = q, text += tail;
    }
    q = p;
    tail = "e";
    if (q < source_.size() && (source_[q] | 0x20) == 'e') {
      ++q;
      if (q < source_.size() && (source_[q] == '+' || source_[q] == '-')) {
        if (source_[q] == '-') tail += '-';
        ++q;
      }
      if (digits(q, tail)) real = true, p = q, text += tail;
    }
  }
  Token& token = push(real ? Tok::real : Tok::integer);
  if (real) {
    const auto [rest, fault] = std::from_chars(text.data(), text.data() + text.size(), token.real);
    if (fault != std::errc() || rest != text.data() + text.size()) return fail("the number " + text + " is outside the range of a float");
  } else {
    const bool zeros = text.find_first_not_of('0') == std::string::npos;
    if (text[0] == '0' && !zeros) return fail("an integer may not start with 0");
    const auto [rest, fault] = std::from_chars(text.data(), text.data() + text.size(), token.integer);
    if (fault != std::errc()) return fail("the integer " + text + " does not fit 64 bits");
  }
  advance(p - pos_);
  return {};
}

Status Lexer::based(int base) {
  size_t p = pos_ + 2;
  std::string text;
  const auto fits = [&](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0 && (digit(c) ? c - '0' : 10) < base; };
  while (p < source_.size() && (fits(source_[p]) || (source_[p] == '_' && p + 1 < source_.size() && fits(source_[p + 1])))) {
    if (source_[p] != '_') text += source_[p];
    ++p;
  }
  if (text.empty()) return fail("a number needs digits behind its base");
  Token& token = push(Tok::integer);
  const auto [rest, fault] = std::from_chars(text.data(), text.data() + text.size(), token.integer, base);
  if (fault != std::errc()) return fail("the integer " + text + " does not fit 64 bits");
  advance(p - pos_);
  return {};
}

Status Lexer::string(char quote) {
  size_t p = pos_ + 1;
  while (p < source_.size() && source_[p] != quote) p += source_[p] == '\\' ? 2 : 1;
  if (p >= source_.size()) return fail("a string is not closed");
  auto text = unescape(source_.substr(pos_ + 1, p - pos_ - 1));
  if (!text.ok()) return fail(text.status().message());
  push(Tok::string, std::move(*text));
  advance(p + 1 - pos_);
  return {};
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case Tok::data:
      return "template text";
    case Tok::variable_begin:
      return "begin of print statement";
    case Tok::variable_end:
      return "end of print statement";
    case Tok::block_begin:
      return "begin of statement block";
    case Tok::block_end:
      return "end of statement block";
    case Tok::name:
      return "'" + token.text + "'";
    case Tok::string:
      return "a string";
    case Tok::integer:
      return "an integer";
    case Tok::real:
      return "a float";
    case Tok::op:
      return "'" + token.text + "'";
    case Tok::eof:
      return "end of template";
  }
  return "?";
}

}  // namespace kl::jinja
