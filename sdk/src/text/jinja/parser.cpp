#include "text/jinja/parser.h"

#include <algorithm>

#include "text/jinja/parser_impl.h"

namespace kl::jinja {

Result<std::shared_ptr<const Ast>> parse(std::string_view source) { return Parser(source).run(); }

Result<std::shared_ptr<const Ast>> Parser::run() {
  KL_ASSIGN(ast_->body, statements({}));
  KL_TRY(lexer_.status());
  KL_TRY(no_unknown(0));
  return std::shared_ptr<const Ast>(ast_);
}

bool Parser::skip_op(std::string_view op) {
  if (!now().is_op(op)) return false;
  next();
  return true;
}
bool Parser::skip_name(std::string_view name) {
  if (!now().is_name(name)) return false;
  next();
  return true;
}
Status Parser::expect(Tok kind, const char* what) {
  if (now().kind != kind) return fail(now(), format("expected %s, found %s", what, describe(now()).c_str()));
  next();
  return {};
}
Status Parser::expect_op(std::string_view op) {
  if (skip_op(op)) return {};
  return fail(now(), format("expected '%.*s', found %s", static_cast<int>(op.size()), op.data(), describe(now()).c_str()));
}
Result<std::string> Parser::expect_name() {
  if (now().kind != Tok::name) return fail(now(), "expected a name, found " + describe(now()));
  std::string name = now().text;
  next();
  return name;
}
Status Parser::fail(const Token& token, const std::string& what, Code code) const {
  if (!lexer_.status().ok()) return lexer_.status();  // the cause, when tokens ended early
  return error(code, "line %d: %s", token.line, what.c_str());
}
Status Parser::check_depth() const {
  if (depth_ <= kMaxParseDepth) return {};
  return fail(now(), format("nested deeper than %d", kMaxParseDepth), Code::unsupported);
}

Node* Parser::make(NodeKind kind, int line) {
  Node& node = ast_->nodes.emplace_back();
  node.kind = kind;
  node.line = line;
  return &node;
}

Result<const Node*> Parser::finish(Node* node) {
  const auto grow = [&](const Node* child) {
    if (child) node->height = std::max(node->height, child->height + 1);
  };
  for (const Node* item : node->items) grow(item);
  for (const auto& [name, value] : node->named) grow(value);
  grow(node->star);
  grow(node->star_star);
  if (node->height > kMaxChain)
    return error(Code::unsupported, "line %d: an expression of more than %d chained parts", node->line, kMaxChain);
  return node;
}

int Parser::symbol(const std::string& name) {
  const auto [found, fresh] = ast_->symbol_of.try_emplace(name, static_cast<int>(ast_->symbols.size()));
  if (fresh) ast_->symbols.push_back(name);
  return found->second;
}

}  // namespace kl::jinja
