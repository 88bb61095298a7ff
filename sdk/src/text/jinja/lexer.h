// Template source to tokens, by the rules of Jinja2's lexer with trim_blocks and lstrip_blocks.
#pragma once
#include <cstdint>
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

// The tokens of a template, ending with eof. Errors: unsupported or invalid_argument with "line N".
Result<std::vector<Token>> tokenize(std::string_view source);
// "name 'x'", "end of print statement": for messages.
std::string describe(const Token& token);

}  // namespace kl::jinja
