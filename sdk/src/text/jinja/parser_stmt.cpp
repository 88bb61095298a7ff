#include <algorithm>
#include <array>

#include "text/jinja/parser_impl.h"

namespace kl::jinja {

Result<Body> Parser::statements(Ends ends) {
  const Level level(depth_);
  KL_TRY(check_depth());
  Body body;
  Node* output = nullptr;  // neighbouring text and expressions are one statement
  for (;;) {
    const Token& token = now();
    if (token.kind == Tok::eof) {
      if (ends.size() == 0) return body;
      return fail(token, format("unexpected end of template, looking for '%s'", std::string(*ends.begin()).c_str()));
    }
    if (token.kind == Tok::block_begin) {
      output = nullptr;
      next();
      const bool end = now().kind == Tok::name && std::find(ends.begin(), ends.end(), now().text) != ends.end();
      if (end) return body;
      KL_ASSIGN(const Node* parsed, statement());
      body.push_back(parsed);
      KL_TRY(expect(Tok::block_end, "end of statement block"));
      continue;
    }
    if (!output) body.push_back(output = make(NodeKind::output, token.line));
    if (token.kind == Tok::data) {
      Node* text = make(NodeKind::constant, token.line);
      text->value = Value::string(token.text, true);
      output->items.push_back(text);
      next();
    } else {
      KL_TRY(expect(Tok::variable_begin, "text or a tag"));
      KL_ASSIGN(const Node* value, tuple(true, false));
      output->items.push_back(value);
      KL_TRY(expect(Tok::variable_end, "end of print statement"));
    }
  }
}

Result<Body> Parser::block_body(Ends ends) {
  skip_op(":");
  KL_TRY(expect(Tok::block_end, "end of statement block"));
  return statements(ends);
}

Result<Body> Parser::closed_body(std::string_view end) {
  KL_ASSIGN(Body body, block_body({end}));
  next();
  return body;
}

Result<Body> Parser::inner_body(std::string_view end) {
  const size_t mark = unknown_.size();
  KL_ASSIGN(Body body, closed_body(end));
  KL_TRY(no_unknown(mark));
  return body;
}

Result<Body> Parser::frame_body(std::string_view end) {
  const int loops = std::exchange(loops_, 0);
  auto body = inner_body(end);
  loops_ = loops;
  return body;
}

Result<const Node*> Parser::statement() {
  const Token& token = now();
  if (token.kind != Tok::name) return fail(token, "expected the name of a statement, found " + describe(token));
  const std::string& name = token.text;
  if (name == "set") return set_statement();
  if (name == "if") return if_statement();
  if (name == "for") return for_statement();
  if (name == "macro") return macro_statement();
  if (name == "call") return call_statement();
  if (name == "filter") return filter_statement();
  if (name == "with") return with_statement();
  if (name == "print") return print_statement();
  if (name == "block") return block_statement();
  if (name == "generation") return scope_statement("endgeneration");
  if (name == "break") return loop_control(NodeKind::break_);
  if (name == "continue") return loop_control(NodeKind::continue_);
  static constexpr std::array<std::string_view, 6> kRefused = {"include", "import", "from", "extends", "autoescape", "trans"};
  if (std::find(kRefused.begin(), kRefused.end(), name) != kRefused.end()) {
    return fail(token, "the statement '" + name + "' is not supported in chat templates", Code::unsupported);
  }
  return fail(token, "unknown statement '" + name + "'");
}

Result<const Node*> Parser::one_target(bool with_space) {
  const Token token = now();
  KL_ASSIGN(const std::string name, expect_name());
  static constexpr std::array<std::string_view, 6> kConstants = {"true", "false", "none", "True", "False", "None"};
  if (std::find(kConstants.begin(), kConstants.end(), name) != kConstants.end()) return fail(token, "cannot assign to '" + name + "'");
  if (with_space && now().is_op(".")) {
    next();
    Node* node = make(NodeKind::target_attribute, token.line);
    node->symbol = symbol(name);
    KL_ASSIGN(node->text, expect_name());
    return node;
  }
  if (name == "loop" && all_loops_ > 0) return fail(token, "cannot assign to the special variable 'loop' inside a loop");
  Node* node = make(NodeKind::target_name, token.line);
  node->symbol = symbol(name);
  return node;
}

Result<const Node*> Parser::target(bool with_space, std::string_view end) {
  const Level level(depth_);
  KL_TRY(check_depth());
  const int line = now().line;
  std::vector<const Node*> parts;
  bool several = false;
  while (!now().is_op(")") && now().kind != Tok::block_end && !now().is_name(end) && !now().is_op(end)) {
    if (skip_op("(")) {
      KL_ASSIGN(const Node* nested, target(false, ")"));
      KL_TRY(expect_op(")"));
      parts.push_back(nested);
    } else {
      KL_ASSIGN(const Node* part, one_target(with_space));
      parts.push_back(part);
    }
    if (!skip_op(",")) break;
    several = true;
  }
  if (parts.empty()) return fail(now(), "expected a name to assign to, found " + describe(now()));
  if (!several) return parts[0];
  Node* node = make(NodeKind::target_tuple, line);
  node->items = std::move(parts);
  return node;
}

Result<const Node*> Parser::set_statement() {
  const int line = now().line;
  next();
  KL_ASSIGN(const Node* into, target(true, "="));
  if (skip_op("=")) {
    Node* node = make(NodeKind::set, line);
    KL_ASSIGN(const Node* value, tuple(true, false));
    node->items = {into, value};
    return node;
  }
  Node* node = make(NodeKind::set_block, line);
  node->items = {into};
  KL_ASSIGN(const Node* chain, filter(nullptr, false));
  if (chain) node->items.push_back(chain);
  KL_ASSIGN(node->body, inner_body("endset"));
  return node;
}

Result<const Node*> Parser::for_statement() {
  Node* node = make(NodeKind::for_, now().line);
  next();
  ++all_loops_;
  KL_ASSIGN(const Node* into, target(false, "in"));
  if (!skip_name("in")) return fail(now(), "expected 'in', found " + describe(now()));
  KL_ASSIGN(const Node* iterable, tuple(false, false, "recursive"));
  node->items = {into, iterable};
  if (skip_name("if")) {
    KL_ASSIGN(const Node* condition, expression());
    node->items.push_back(condition);
  }
  node->recursive = skip_name("recursive");
  const size_t mark = unknown_.size();
  ++loops_;
  KL_ASSIGN(node->body, block_body({"endfor", "else"}));
  --loops_;
  const bool otherwise = now().is_name("else");
  next();
  if (otherwise) {
    KL_ASSIGN(node->orelse, closed_body("endfor"));
  }
  --all_loops_;
  KL_TRY(no_unknown(mark));
  return node;
}

Result<const Node*> Parser::if_statement() {
  Node* node = make(NodeKind::if_, now().line);
  const size_t mark = unknown_.size();
  for (bool more = true; more;) {
    next();  // if, elif
    KL_ASSIGN(const Node* condition, tuple(false, false));
    node->items.push_back(condition);
    KL_ASSIGN(Body body, block_body({"elif", "else", "endif"}));
    node->branches.push_back(std::move(body));
    more = now().is_name("elif");
  }
  const bool otherwise = now().is_name("else");
  next();
  if (otherwise) {
    KL_ASSIGN(node->orelse, closed_body("endif"));
  }
  unknown_.resize(mark);
  return node;
}

Result<const Node*> Parser::with_statement() {
  Node* node = make(NodeKind::with, now().line);
  next();
  while (now().kind != Tok::block_end) {
    if (!node->items.empty()) KL_TRY(expect_op(","));
    KL_ASSIGN(const Node* into, target(false, "="));
    KL_TRY(expect_op("="));
    KL_ASSIGN(const Node* value, expression());
    node->items.push_back(into);
    node->items.push_back(value);
  }
  KL_ASSIGN(node->body, inner_body("endwith"));
  return node;
}

Status Parser::signature(Node* node) {
  MacroInfo& macro = node->macro;
  KL_TRY(expect_op("("));
  while (!now().is_op(")")) {
    if (!macro.parameters.empty()) KL_TRY(expect_op(","));
    const Token token = now();
    KL_ASSIGN(const Node* name, one_target(false));
    macro.parameters.push_back(name->symbol);
    macro.parameter_names.push_back(token.text);
    if (token.text == "caller") macro.explicit_caller = true;
    if (skip_op("=")) {
      KL_ASSIGN(const Node* value, expression());
      macro.defaults.push_back(value);
    } else if (!macro.defaults.empty()) {
      return fail(token, "a parameter without default follows one with a default");
    }
  }
  return expect_op(")");
}

Result<const Node*> Parser::macro_statement() {
  Node* node = make(NodeKind::macro, now().line);
  next();
  const Token token = now();
  KL_ASSIGN(node->macro.name, expect_name());
  node->symbol = symbol(node->macro.name);
  KL_TRY(signature(node));
  frames_.push_back(node);
  KL_ASSIGN(node->body, frame_body("endmacro"));
  frames_.pop_back();
  const MacroInfo& macro = node->macro;
  if (macro.explicit_caller && macro.uses_caller) {
    const auto& names = macro.parameter_names;
    const size_t place = static_cast<size_t>(std::find(names.begin(), names.end(), "caller") - names.begin());
    if (place + macro.defaults.size() < names.size()) return fail(token, "the parameter 'caller' needs a default");
  }
  return node;
}

Result<const Node*> Parser::call_statement() {
  Node* node = make(NodeKind::call_block, now().line);
  next();
  if (now().is_op("(")) KL_TRY(signature(node));
  const Token token = now();
  KL_ASSIGN(const Node* called, expression());
  if (called->kind != NodeKind::call) return fail(token, "expected a call");
  node->items = {called};
  frames_.push_back(node);
  KL_ASSIGN(node->body, frame_body("endcall"));
  frames_.pop_back();
  return node;
}

Result<const Node*> Parser::filter_statement() {
  Node* node = make(NodeKind::filter_block, now().line);
  next();
  KL_ASSIGN(const Node* chain, filter(nullptr, true));
  node->items = {chain};
  KL_ASSIGN(node->body, inner_body("endfilter"));
  return node;
}

Result<const Node*> Parser::print_statement() {
  Node* node = make(NodeKind::output, now().line);
  next();
  while (now().kind != Tok::block_end) {
    if (!node->items.empty()) KL_TRY(expect_op(","));
    KL_ASSIGN(const Node* value, expression());
    node->items.push_back(value);
  }
  return node;
}

Result<const Node*> Parser::block_statement() {
  Node* node = make(NodeKind::block, now().line);
  next();
  KL_ASSIGN(const std::string name, expect_name());
  if (now().kind == Tok::name)
    return fail(now(), "a block that is '" + now().text + "' is not supported in chat templates", Code::unsupported);
  KL_ASSIGN(node->body, frame_body("endblock"));
  skip_name(name);
  return node;
}

Result<const Node*> Parser::scope_statement(std::string_view end) {
  Node* node = make(NodeKind::scope, now().line);
  next();
  KL_ASSIGN(node->body, frame_body(end));
  return node;
}

Result<const Node*> Parser::loop_control(NodeKind kind) {
  if (loops_ == 0) return fail(now(), "'" + now().text + "' stands outside of a loop");
  Node* node = make(kind, now().line);
  next();
  return node;
}

}  // namespace kl::jinja
