// Template source to tokens, by the rules of Jinja2's lexer with trim_blocks and lstrip_blocks.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace kl::jinja {

enum class Tok : uint8_t { data, variable_begin, variable_end, block_begin, block_end, name, string, integer, real, op, eof };

struct Token {
  Tok kind = Tok::eof;
  std::string text;  // data, string: the text itself (escapes resolved); name, op: as written
  int64_t integer = 0;
  double real = 0;
  int line = 1;

  bool is_op(std::string_view op) const { return kind == Tok::op && text == op; }
  bool is_name(std::string_view name) const { return kind == Tok::name && text == name; }
};

// Gives the tokens one tag at a time, so that a parser that stops early has not paid for the rest.
class Lexer {
 public:
  explicit Lexer(std::string_view source);

  // Appends at least one token; behind the end of the template, and behind an error, that is eof.
  void more(std::deque<Token>& tokens);
  // Errors: unsupported or invalid_argument with "line N".
  const Status& status() const { return status_; }

 private:
  Status fail(const std::string& what) const;
  bool at(std::string_view what) const { return source_.substr(pos_, what.size()) == what; }
  char peek(size_t ahead = 0) const { return pos_ + ahead < source_.size() ? source_[pos_ + ahead] : '\0'; }
  Token& push(Tok kind, std::string text = {});
  void advance(size_t bytes);
  void skip_space();

  Status text();
  void data(size_t end, char sign, bool block);
  Status comment();
  void close_block(size_t end);
  bool raw_follows() const;
  Status raw();
  Status tag(bool block);
  Status token(std::vector<char>& open);
  bool digits(size_t& p, std::string& out) const;
  Status number();
  Status based(int base);
  Status string(char quote);

  std::string held_;  // the source with \n as its only line break, without the last one
  std::string_view source_;
  size_t pos_ = 0;
  int line_ = 1;
  bool line_start_ = true;  // the next text stands at the start of a line
  std::deque<Token>* tokens_ = nullptr;
  Status status_;
};

// "name 'x'", "end of print statement": for messages.
std::string describe(const Token& token);

}  // namespace kl::jinja
