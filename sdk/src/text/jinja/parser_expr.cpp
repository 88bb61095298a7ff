#include <algorithm>
#include <array>

#include "text/jinja/parser_impl.h"
#include "text/jinja/tables.h"

namespace kl::jinja {
namespace {

struct BinaryOp {
  std::string_view text;
  int level;
  Op op;
};
// Loosest first. Comparisons (level 3) chain and `~` takes any number, so they are not in the table. Powers associate to the left, as in Jinja2.
constexpr int kOr = 0, kAnd = 1, kNot = 2, kAdd = 4, kConcat = 5, kMul = 6, kPow = 7, kUnary = 8;
constexpr std::array<BinaryOp, 7> kBinary = {{{"+", kAdd, Op::add},
                                              {"-", kAdd, Op::sub},
                                              {"*", kMul, Op::mul},
                                              {"/", kMul, Op::div},
                                              {"//", kMul, Op::floordiv},
                                              {"%", kMul, Op::mod},
                                              {"**", kPow, Op::pow}}};
struct CompareOp {
  std::string_view text;
  Op op;
};
constexpr std::array<CompareOp, 6> kCompares = {
    {{"==", Op::eq}, {"!=", Op::ne}, {"<", Op::lt}, {"<=", Op::le}, {">", Op::gt}, {">=", Op::ge}}};

}  // namespace

Result<const Node*> Parser::tuple(bool with_condition, bool parenthesised, std::string_view end) {
  const int line = now().line;
  std::vector<const Node*> parts;
  bool several = false;
  for (;;) {
    const Token& token = now();
    if (token.kind == Tok::variable_end || token.kind == Tok::block_end || token.is_op(")") || (!end.empty() && token.is_name(end))) break;
    KL_ASSIGN(const Node* part, expression(with_condition));
    parts.push_back(part);
    if (!skip_op(",")) break;
    several = true;
  }
  if (!several && !parts.empty()) return parts[0];
  if (!several && !parenthesised) return fail(now(), "expected an expression, found " + describe(now()));
  Node* node = make(NodeKind::tuple, line);
  node->items = std::move(parts);
  return finish(node);
}

Result<const Node*> Parser::expression(bool with_condition) {
  const Level level(depth_);
  KL_TRY(check_depth());
  const int line = now().line;
  const size_t mark = unknown_.size();
  KL_ASSIGN(const Node* value, binary(kOr));
  while (with_condition && now().is_name("if")) {
    next();
    KL_ASSIGN(const Node* condition, binary(kOr));
    Node* node = make(NodeKind::condition, line);
    node->items = {condition, value};
    if (skip_name("else")) {
      KL_ASSIGN(const Node* otherwise, expression());
      node->items.push_back(otherwise);
    }
    unknown_.resize(mark);
    KL_ASSIGN(value, finish(node));
  }
  return value;
}

// One function for all binary levels keeps a level of parentheses to few stack frames.
Result<const Node*> Parser::binary(int level) {
  if (level == kUnary) return unary(true);
  const int line = now().line;
  if (level == kNot) {
    if (!now().is_name("not")) return compare();
    const Level nested(depth_);
    KL_TRY(check_depth());
    next();
    KL_ASSIGN(const Node* operand, binary(kNot));
    Node* node = make(NodeKind::logic_not, line);
    node->items = {operand};
    return finish(node);
  }
  // The operand below, and then operators of every tighter level down to this one.
  auto first = level <= kAnd ? binary(kNot) : unary(true);
  KL_TRY(first.status());
  const Node* left = *first;
  for (int tight = level <= kAnd ? kAnd : kPow; tight >= level; --tight) {
    for (;;) {
      Node* node = nullptr;
      if (tight == kConcat) {
        if (!now().is_op("~")) break;
        node = make(NodeKind::concat, line);
        node->items = {left};
        while (skip_op("~")) {
          KL_ASSIGN(const Node* part, binary(kMul));
          node->items.push_back(part);
        }
      } else if (tight <= kAnd) {
        if (!skip_name(tight == kOr ? "or" : "and")) break;
        KL_ASSIGN(const Node* right, binary(tight + 1));
        node = make(tight == kOr ? NodeKind::logic_or : NodeKind::logic_and, line);
        node->items = {left, right};
      } else {
        const auto* found =
            std::find_if(kBinary.begin(), kBinary.end(), [&](const BinaryOp& b) { return b.level == tight && now().is_op(b.text); });
        if (found == kBinary.end()) break;
        next();
        KL_ASSIGN(const Node* right, binary(tight + 1));
        node = make(NodeKind::binary, line);
        node->op = found->op;
        node->items = {left, right};
      }
      KL_ASSIGN(left, finish(node));
    }
  }
  return left;
}

Result<const Node*> Parser::compare() {
  const int line = now().line;
  KL_ASSIGN(const Node* left, binary(kAdd));
  Node* node = nullptr;
  for (;;) {
    Op op{};
    const auto* found = std::find_if(kCompares.begin(), kCompares.end(), [&](const CompareOp& c) { return now().is_op(c.text); });
    if (found != kCompares.end()) {
      op = found->op;
      next();
    } else if (skip_name("in")) {
      op = Op::in;
    } else if (now().is_name("not") && ahead().is_name("in")) {
      next();
      next();
      op = Op::not_in;
    } else {
      break;
    }
    if (!node) {
      node = make(NodeKind::compare, line);
      node->items = {left};
    }
    KL_ASSIGN(const Node* right, binary(kAdd));
    node->ops.push_back(op);
    node->items.push_back(right);
  }
  if (!node) return left;
  return finish(node);
}

Result<const Node*> Parser::unary(bool with_filter) {
  const int line = now().line;
  const Node* base = nullptr;
  if (now().is_op("-") || now().is_op("+")) {
    const Level level(depth_);
    KL_TRY(check_depth());
    const Op op = now().is_op("-") ? Op::neg : Op::pos;
    next();
    KL_ASSIGN(const Node* operand, unary(false));
    Node* node = make(NodeKind::unary, line);
    node->op = op;
    node->items = {operand};
    KL_ASSIGN(base, finish(node));
  } else {
    KL_ASSIGN(base, primary());
  }
  KL_ASSIGN(base, postfix(base));
  return with_filter ? filters(base) : Result<const Node*>(base);
}

void Parser::note_special_name(const std::string& name) {
  for (Node* frame : frames_) {
    frame->macro.uses_caller |= name == "caller";
    frame->macro.uses_kwargs |= name == "kwargs";
    frame->macro.uses_varargs |= name == "varargs";
  }
}

Result<const Node*> Parser::name_or_constant() {
  const std::string& name = now().text;
  const int line = now().line;
  Node* node = make(NodeKind::constant, line);
  if (name == "true" || name == "True") {
    node->value = Value::boolean(true);
  } else if (name == "false" || name == "False") {
    node->value = Value::boolean(false);
  } else if (name == "none" || name == "None") {
    node->value = Value::none();
  } else {
    node->kind = NodeKind::name;
    node->text = name;
    node->symbol = symbol(name);
    note_special_name(name);
  }
  next();
  return node;
}

Result<const Node*> Parser::primary() {
  const Token& token = now();
  switch (token.kind) {
    case Tok::name:
      return name_or_constant();
    case Tok::string: {
      Node* node = make(NodeKind::constant, token.line);
      std::string text;
      for (; now().kind == Tok::string; next()) text += now().text;
      node->value = Value::string(std::move(text), true);
      return node;
    }
    case Tok::integer:
    case Tok::real: {
      Node* node = make(NodeKind::constant, token.line);
      node->value = token.kind == Tok::integer ? Value::integer(token.integer) : Value::real(token.real);
      next();
      return node;
    }
    default:
      break;
  }
  if (skip_op("(")) {
    KL_ASSIGN(const Node* inner, tuple(true, true));
    KL_TRY(expect_op(")"));
    return inner;
  }
  if (now().is_op("[")) return bracketed("]");
  if (now().is_op("{")) return bracketed("}");
  return fail(token, "expected an expression, found " + describe(token));
}

// [a, b] and {a: b}.
Result<const Node*> Parser::bracketed(std::string_view close) {
  const bool dict = close == "}";
  Node* node = make(dict ? NodeKind::dict : NodeKind::list, now().line);
  next();
  while (!now().is_op(close)) {
    if (!node->items.empty()) {
      KL_TRY(expect_op(","));
      if (now().is_op(close)) break;
    }
    KL_ASSIGN(const Node* item, expression());
    node->items.push_back(item);
    if (dict) {
      KL_TRY(expect_op(":"));
      KL_ASSIGN(const Node* value, expression());
      node->items.push_back(value);
    }
  }
  KL_TRY(expect_op(close));
  return finish(node);
}

Result<const Node*> Parser::postfix(const Node* base) {
  for (;;) {
    if (now().is_op(".") || now().is_op("[")) {
      KL_ASSIGN(base, subscript(base));
    } else if (now().is_op("(")) {
      KL_ASSIGN(base, call(base));
    } else {
      return base;
    }
  }
}

Result<const Node*> Parser::filters(const Node* base) {
  for (;;) {
    if (now().is_op("|")) {
      KL_ASSIGN(base, filter(base, false));
    } else if (now().is_name("is")) {
      KL_ASSIGN(base, test(base));
    } else if (now().is_op("(")) {
      KL_ASSIGN(base, call(base));
    } else {
      return base;
    }
  }
}

Result<const Node*> Parser::subscript(const Node* base) {
  const int line = now().line;
  if (skip_op(".")) {
    const Token token = now();
    next();
    if (token.kind == Tok::name) {
      Node* node = make(NodeKind::attribute, line);
      node->text = token.text;
      node->items = {base};
      return finish(node);
    }
    if (token.kind != Tok::integer) return fail(token, "expected a name or a number behind '.', found " + describe(token));
    Node* index = make(NodeKind::constant, line);
    index->value = Value::integer(token.integer);
    Node* node = make(NodeKind::subscript, line);
    node->items = {base, index};
    return finish(node);
  }
  next();  // [
  std::vector<const Node*> parts;
  std::array<const Node*, 3> bounds{};
  bool slice = false, several = false;
  while (!now().is_op("]")) {
    if (several) return fail(now(), "a slice with several parts is not supported", Code::unsupported);
    if (!now().is_op(":")) {
      KL_ASSIGN(bounds[0], expression());
    }
    if (now().is_op(":")) {
      slice = true;
      for (size_t i = 1; i < 3 && skip_op(":"); ++i) {
        if (now().is_op(":") || now().is_op("]") || now().is_op(",")) continue;
        KL_ASSIGN(bounds[i], expression());
      }
    }
    parts.push_back(bounds[0]);
    if (now().is_op("]")) break;
    KL_TRY(expect_op(","));
    several = slice;
  }
  KL_TRY(expect_op("]"));
  if (slice && parts.size() > 1) return fail(now(), "a slice with several parts is not supported", Code::unsupported);
  Node* node = make(slice ? NodeKind::slice : NodeKind::subscript, line);
  if (slice) {
    node->items = {base, bounds[0], bounds[1], bounds[2]};
  } else if (parts.size() == 1) {
    node->items = {base, parts[0]};
  } else {
    Node* key = make(NodeKind::tuple, line);
    key->items = std::move(parts);
    KL_ASSIGN(const Node* finished, finish(key));
    node->items = {base, finished};
  }
  return finish(node);
}

void Parser::attach(Node* node, const Node* first, CallArgs args) {
  node->items = {first};
  node->items.insert(node->items.end(), args.plain.begin(), args.plain.end());
  node->plain = args.plain.size();
  node->named = std::move(args.named);
  node->star = args.star;
  node->star_star = args.star_star;
}

Result<Parser::CallArgs> Parser::call_args() {
  const Token token = now();
  CallArgs args;
  KL_TRY(expect_op("("));
  for (bool first = true; !now().is_op(")"); first = false) {
    if (!first) {
      KL_TRY(expect_op(","));
      if (now().is_op(")")) break;
    }
    bool valid = true;
    if (skip_op("*")) {
      valid = !args.star && !args.star_star;
      KL_ASSIGN(args.star, expression());
    } else if (skip_op("**")) {
      valid = !args.star_star;
      KL_ASSIGN(args.star_star, expression());
    } else if (now().kind == Tok::name && ahead().is_op("=")) {
      valid = !args.star_star;
      std::string name = now().text;
      next();
      next();
      for (const auto& [known, node] : args.named) {
        if (known == name) return fail(token, "the keyword argument '" + name + "' is given twice");
      }
      KL_ASSIGN(const Node* value, expression());
      args.named.emplace_back(std::move(name), value);
    } else {
      valid = !args.star && !args.star_star && args.named.empty();
      KL_ASSIGN(const Node* value, expression());
      args.plain.push_back(value);
    }
    if (!valid) return fail(token, "invalid order of arguments in a call");
  }
  KL_TRY(expect_op(")"));
  return args;
}

Result<const Node*> Parser::call(const Node* callee) {
  Node* node = make(NodeKind::call, now().line);
  KL_ASSIGN(CallArgs args, call_args());
  attach(node, callee, std::move(args));
  return finish(node);
}

Result<const Node*> Parser::filter(const Node* input, bool inline_start) {
  while (now().is_op("|") || inline_start) {
    if (!inline_start) next();
    inline_start = false;
    const Token token = now();
    KL_ASSIGN(std::string name, expect_name());
    while (skip_op(".")) {
      KL_ASSIGN(const std::string part, expect_name());
      name += "." + part;
    }
    Node* node = make(NodeKind::filter, token.line);
    CallArgs args;
    if (now().is_op("(")) {
      KL_ASSIGN(args, call_args());
    }
    attach(node, input, std::move(args));
    node->text = name;
    node->filter = find_filter(name);
    if (!node->filter) unknown_.push_back(fail(token, "no filter named '" + name + "'"));
    KL_ASSIGN(input, finish(node));
  }
  return input;
}

Result<const Node*> Parser::test(const Node* input) {
  const int line = now().line;
  next();  // is
  const bool negated = skip_name("not");
  const Token token = now();
  KL_ASSIGN(std::string name, expect_name());
  while (skip_op(".")) {
    KL_ASSIGN(const std::string part, expect_name());
    name += "." + part;
  }
  Node* node = make(NodeKind::test, line);
  CallArgs args;
  const Token& after = now();
  if (after.is_op("(")) {
    KL_ASSIGN(args, call_args());
  } else if ((after.kind == Tok::name && !after.is_name("else") && !after.is_name("or") && !after.is_name("and")) ||
             after.kind == Tok::string || after.kind == Tok::integer || after.kind == Tok::real || after.is_op("[") || after.is_op("{")) {
    if (after.is_name("is")) return fail(after, "tests with 'is' cannot be chained");
    KL_ASSIGN(const Node* argument, primary());
    KL_ASSIGN(argument, postfix(argument));
    args.plain.push_back(argument);
  }
  attach(node, input, std::move(args));
  node->text = name;
  node->test = find_test(name);
  if (!node->test) unknown_.push_back(fail(token, "no test named '" + name + "'"));
  KL_ASSIGN(const Node* finished, finish(node));
  if (!negated) return finished;
  Node* inverse = make(NodeKind::logic_not, line);
  inverse->items = {finished};
  return finish(inverse);
}

}  // namespace kl::jinja
