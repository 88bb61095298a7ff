// The parser's state, shared by its two halves (statements, expressions).
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/lexer.h"
#include "text/jinja/parser.h"

namespace kl::jinja {

class Parser {
 public:
  explicit Parser(std::string_view source) : lexer_(source), ast_(std::make_shared<Ast>()) { fill(); }
  Result<std::shared_ptr<const Ast>> run();

 private:
  using Ends = std::initializer_list<std::string_view>;
  struct CallArgs {
    std::vector<const Node*> plain;
    std::vector<std::pair<std::string, const Node*>> named;
    const Node* star = nullptr;
    const Node* star_star = nullptr;
  };
  // Counts nesting while it lives.
  struct Level {
    explicit Level(int& depth) : depth_(++depth) {}
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    ~Level() { --depth_; }
    int& depth_;
  };

  // Tokens.
  const Token& now() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[at_ + 1]; }
  void next() {
    if (now().kind != Tok::eof) ++at_;
    fill();
  }
  void fill() {  // two tokens to look at
    while (tokens_.size() < at_ + 2) lexer_.more(tokens_);
  }
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  Status expect(Tok kind, const char* what);
  Status expect_op(std::string_view op);
  Result<std::string> expect_name();
  Status fail(const Token& token, const std::string& what, Code code = Code::invalid_argument) const;
  Status check_depth() const;
  Status no_unknown(size_t since) const { return unknown_.size() > since ? unknown_[since] : Status(); }

  // Nodes.
  Node* make(NodeKind kind, int line);
  Result<const Node*> finish(Node* node);  // sets and checks the height of an expression
  int symbol(const std::string& name);

  // Statements (parser_stmt.cpp).
  Result<Body> statements(Ends ends);              // up to a tag of one of these names; that tag's name is now()
  Result<Body> block_body(Ends ends);              // the end of the opening tag, then statements
  Result<Body> closed_body(std::string_view end);  // block_body and its end tag's name
  Result<Body> inner_body(std::string_view end);   // closed_body of a scope of its own
  Result<Body> frame_body(std::string_view end);   // inner_body of a macro-like frame: no loop to break out of
  Result<const Node*> statement();
  Result<const Node*> set_statement();
  Result<const Node*> for_statement();
  Result<const Node*> if_statement();
  Result<const Node*> with_statement();
  Result<const Node*> macro_statement();
  Result<const Node*> call_statement();
  Result<const Node*> filter_statement();
  Result<const Node*> print_statement();
  Result<const Node*> block_statement();
  Result<const Node*> scope_statement(std::string_view end);
  Result<const Node*> loop_control(NodeKind kind);
  Status signature(Node* node);
  Result<const Node*> target(bool with_space, std::string_view end);
  Result<const Node*> one_target(bool with_space);

  // Expressions (parser_expr.cpp).
  Result<const Node*> tuple(bool with_condition, bool parenthesised, std::string_view end = {});
  Result<const Node*> expression(bool with_condition = true);
  Result<const Node*> binary(int level);
  Result<const Node*> compare();
  Result<const Node*> unary(bool with_filter);
  Result<const Node*> primary();
  Result<const Node*> name_or_constant();
  Result<const Node*> bracketed(std::string_view close);
  Result<const Node*> postfix(const Node* base);
  Result<const Node*> filters(const Node* base);
  Result<const Node*> subscript(const Node* base);
  Result<const Node*> call(const Node* callee);
  Result<const Node*> filter(const Node* input, bool inline_start);
  Result<const Node*> test(const Node* input);
  Result<CallArgs> call_args();
  void attach(Node* node, const Node* first, CallArgs args);
  void note_special_name(const std::string& name);

  Lexer lexer_;
  std::deque<Token> tokens_;
  size_t at_ = 0;
  std::shared_ptr<Ast> ast_;
  int depth_ = 0;
  int loops_ = 0;      // of this frame: what break leaves
  int all_loops_ = 0;  // of the template: where `loop` may not be assigned
  std::vector<Status>
      unknown_;  // filters and tests without a table entry: an error now, unless their statement or expression turns out to be conditional
  std::vector<Node*> frames_;  // macros and call blocks being parsed
};

}  // namespace kl::jinja
