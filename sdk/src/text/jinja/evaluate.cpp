// Expressions and calls.
#include <algorithm>

#include "text/jinja/filters.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/ops.h"

namespace kl::jinja {

Result<Value> Interpreter::eval(const Node& node) {
  const Depth depth(depth_);
  line_ = node.line;
  KL_TRY(tick());
  if (depth_ > kMaxRunDepth) return error(Code::unsupported, "the template runs deeper than %d nested steps", kMaxRunDepth);
  return eval_inner(node);
}

Result<Value> Interpreter::eval_inner(const Node& node) {
  switch (node.kind) {
    case NodeKind::constant:
      return node.value;
    case NodeKind::name:
      return look_up(node.symbol);
    case NodeKind::list:
      return eval_list(node, SeqKind::list);
    case NodeKind::tuple:
      return eval_list(node, SeqKind::tuple);
    case NodeKind::dict:
      return eval_dict(node);
    case NodeKind::unary: {
      KL_ASSIGN(const Value v, eval(*node.items[0]));
      return unary(node.op, v);
    }
    case NodeKind::binary: {
      KL_ASSIGN(const Value a, eval(*node.items[0]));
      KL_ASSIGN(const Value b, eval(*node.items[1]));
      return binary(*this, node.op, a, b);
    }
    case NodeKind::logic_and:
    case NodeKind::logic_or: {
      KL_ASSIGN(Value a, eval(*node.items[0]));
      if (a.truthy() == (node.kind == NodeKind::logic_or)) return a;
      return eval(*node.items[1]);
    }
    case NodeKind::logic_not: {
      KL_ASSIGN(const Value v, eval(*node.items[0]));
      return Value::boolean(!v.truthy());
    }
    case NodeKind::compare:
      return eval_compare(node);
    case NodeKind::concat:
      return eval_concat(node);
    case NodeKind::condition:
      return eval_condition(node);
    case NodeKind::attribute: {
      KL_ASSIGN(const Value v, eval(*node.items[0]));
      return attribute(*this, v, node.text);
    }
    case NodeKind::subscript: {
      KL_ASSIGN(const Value v, eval(*node.items[0]));
      KL_ASSIGN(const Value key, eval(*node.items[1]));
      return item(*this, v, key);
    }
    case NodeKind::slice:
      return eval_slice(node);
    case NodeKind::call:
      return eval_call(node, nullptr);
    case NodeKind::filter:
      return eval_filter(node);
    case NodeKind::test:
      return eval_test(node);
    default:
      return error(Code::internal, "a statement stands where an expression should");
  }
}

Result<Value> Interpreter::eval_list(const Node& node, SeqKind kind) {
  std::vector<Value> values;
  values.reserve(node.items.size());
  for (const Node* each : node.items) {
    KL_ASSIGN(Value v, eval(*each));
    values.push_back(std::move(v));
  }
  return seq(kind, std::move(values));
}

Result<Value> Interpreter::eval_dict(const Node& node) {
  Dict built;
  for (size_t i = 0; i < node.items.size(); i += 2) {
    KL_ASSIGN(Value key, eval(*node.items[i]));
    KL_ASSIGN(Value v, eval(*node.items[i + 1]));
    if (!hashable(key)) return error(Code::invalid_argument, "unhashable type: '%s'", key.type_name());
    built.set(std::move(key), std::move(v));
  }
  return dict(std::move(built));
}

Result<Value> Interpreter::eval_compare(const Node& node) {
  KL_ASSIGN(Value left, eval(*node.items[0]));
  bool yes = true;
  for (size_t i = 0; yes && i < node.ops.size(); ++i) {
    KL_ASSIGN(Value right, eval(*node.items[i + 1]));
    KL_ASSIGN(yes, compare(*this, node.ops[i], left, right));
    left = std::move(right);
  }
  return Value::boolean(yes);
}

Result<Value> Interpreter::eval_concat(const Node& node) {
  // Parts are evaluated before any is written: a part may write to a namespace another one reads.
  std::vector<Value> parts;
  parts.reserve(node.items.size());
  for (const Node* each : node.items) {
    KL_ASSIGN(Value v, eval(*each));
    parts.push_back(std::move(v));
  }
  StrBuilder out = builder();
  size_t known = 0;
  for (const Value& part : parts) known += part.is_string() ? part.str().size() : 0;
  out.expect(known);
  for (const Value& part : parts) KL_TRY(str(part, out));
  return text(std::move(out));
}

Result<Value> Interpreter::eval_condition(const Node& node) {
  KL_ASSIGN(const Value condition, eval(*node.items[0]));
  if (condition.truthy()) return eval(*node.items[1]);
  if (node.items.size() > 2) return eval(*node.items[2]);
  return Value::undefined("the inline if-expression evaluated to false and has no else");
}

Result<Value> Interpreter::eval_slice(const Node& node) {
  KL_ASSIGN(const Value v, eval(*node.items[0]));
  Value bounds[3];
  const Value* given[3] = {nullptr, nullptr, nullptr};
  for (size_t i = 0; i < 3; ++i) {
    if (!node.items[i + 1]) continue;
    KL_ASSIGN(bounds[i], eval(*node.items[i + 1]));
    given[i] = &bounds[i];
  }
  return slice(*this, v, given[0], given[1], given[2]);
}

Result<Value> Interpreter::eval_filter(const Node& node) {
  Value input;
  if (node.items[0]) {
    KL_ASSIGN(input, eval(*node.items[0]));
  } else if (filter_input_) {
    input = *filter_input_;
  }
  const Value* outer = std::exchange(filter_input_, nullptr);  // arguments are ordinary expressions
  auto args = eval_args(node);
  filter_input_ = outer;
  KL_TRY(args.status());
  line_ = node.line;
  return apply_filter(*this, node.filter, node.text, input, *args);
}

Result<Value> Interpreter::eval_test(const Node& node) {
  KL_ASSIGN(const Value input, eval(*node.items[0]));
  KL_ASSIGN(const Args args, eval_args(node));
  KL_ASSIGN(const bool yes, apply_test(*this, node.test, node.text, input, args));
  return Value::boolean(yes);
}

Result<Args> Interpreter::eval_args(const Node& node) {
  Args args;
  args.plain.reserve(node.plain);
  for (size_t i = 1; i <= node.plain; ++i) {
    KL_ASSIGN(Value v, eval(*node.items[i]));
    args.plain.push_back(std::move(v));
  }
  if (node.star) {
    KL_ASSIGN(const Value more, eval(*node.star));
    KL_ASSIGN(const SeqRef all, items(more));
    KL_TRY(tick(all->items.size()));
    KL_TRY(room(all->items.size(), sizeof(Value)));
    args.plain.insert(args.plain.end(), all->items.begin(), all->items.end());
  }
  for (const auto& [name, value] : node.named) {
    KL_ASSIGN(Value v, eval(*value));
    args.named.emplace_back(name, std::move(v));
  }
  if (node.star_star) {
    KL_ASSIGN(const Value more, eval(*node.star_star));
    if (!more.is(Kind::dict)) return error(Code::invalid_argument, "the argument behind ** must be a mapping, not '%s'", more.type_name());
    if (more.dict().size() > 256) return error(Code::unsupported, "more than 256 keyword arguments");
    for (const auto& [key, v] : more.dict().entries()) {
      KL_ASSIGN(const Str* name, want_str(key, "keyword argument"));
      const auto given = std::find_if(args.named.begin(), args.named.end(), [&](const auto& n) { return n.first == name->text(); });
      if (given != args.named.end())
        return error(Code::invalid_argument, "several values for the keyword argument '%s'", given->first.c_str());
      args.named.emplace_back(std::string(name->text()), v, name->trusted());
    }
  }
  return args;
}

Result<Value> Interpreter::eval_call(const Node& node, const Value* caller) {
  const Node& callee = *node.items[0];
  Value self;
  const MethodEntry* method = nullptr;
  Value called;
  if (callee.kind == NodeKind::attribute) {
    // value.method(...) without making the method a value first.
    KL_ASSIGN(self, eval(*callee.items[0]));
    if (!self.is_undefined()) method = find_method(self, callee.text);
    if (method && !method->apply) method = nullptr;
    if (!method) {
      KL_ASSIGN(called, attribute(*this, self, callee.text));
    }
  } else {
    KL_ASSIGN(called, eval(callee));
  }
  KL_ASSIGN(Args args, eval_args(node));
  if (caller) args.named.emplace_back("caller", *caller);
  line_ = node.line;
  if (!method) return call(called, args);
  KL_ASSIGN(const Bound bound, bind_args(method->name, method->parameters, args));
  return method->apply(*this, self, bound);
}

Result<Value> Interpreter::call(const Value& callee, const Args& args) {
  if (callee.is_undefined()) return undefined_error(callee);
  if (callee.is(Kind::object)) {
    Object& object = callee.object();
    switch (object.type) {
      case Object::Type::function: {
        const FunctionEntry* entry = static_cast<const FunctionObject&>(object).entry;
        KL_ASSIGN(const Bound bound, bind_args(entry->name, entry->parameters, args));
        return entry->apply(*this, bound);
      }
      case Object::Type::method: {
        const auto& method = static_cast<const MethodObject&>(object);
        KL_ASSIGN(const Bound bound, bind_args(method.entry->name, method.entry->parameters, args));
        return method.entry->apply(*this, method.self, bound);
      }
      case Object::Type::macro:
        return call_macro(static_cast<const MacroObject&>(object), args);
      case Object::Type::joiner: {
        auto& joiner = static_cast<JoinerObject&>(object);
        if (std::exchange(joiner.used, true)) return joiner.separator;
        return text("");
      }
      case Object::Type::loop:
        return call_loop(static_cast<const LoopObject&>(object), args);
      case Object::Type::cycler:
        break;
    }
  }
  return error(Code::invalid_argument, "'%s' object is not callable", callee.type_name());
}

Result<Value> Interpreter::call_loop(const LoopObject& loop, const Args& args) {
  if (!loop.node->recursive) return error(Code::invalid_argument, "the loop must have the 'recursive' marker to be called recursively");
  if (args.plain.size() != 1 || !args.named.empty()) return error(Code::invalid_argument, "loop() takes one argument");
  if (macro_depth_ >= kMaxMacroDepth) return error(Code::unsupported, "loops call themselves deeper than %d", kMaxMacroDepth);
  const Depth depth(macro_depth_);
  Scope* outer = std::exchange(scope_, loop.scope);
  const Node& node = *loop.node;  // the loop object may end before its last call does
  const int level = loop.level + 1;
  auto written = captured([&] { return loop_over(node, args.plain[0], level); });
  scope_ = outer;
  return written;
}

Result<Value> Interpreter::make_macro(const Node& node) {
  keep(scope_);
  return object(std::make_shared<MacroObject>(&node, scope_), sizeof(MacroObject));
}

// Positional arguments, then keyword arguments, then defaults, which see the parameters before them.
Status Interpreter::bind_macro(const MacroObject& macro, const Args& args, Scope& scope) {
  const MacroInfo& info = macro.node->macro;
  const size_t count = info.parameters.size();
  std::vector<bool> used(args.named.size(), false);
  const auto named = [&](const std::string& name) -> const Value* {
    for (size_t i = 0; i < args.named.size(); ++i) {
      if (args.named[i].first == name && !used[i]) {
        used[i] = true;
        return &args.named[i].second;
      }
    }
    return nullptr;
  };
  std::vector<const Value*> given(count, nullptr);
  for (size_t i = 0; i < count; ++i) given[i] = i < args.plain.size() ? &args.plain[i] : named(info.parameter_names[i]);
  if (info.uses_caller && !info.explicit_caller) {
    const Value* caller = named("caller");
    KL_TRY(bind_name(scope, caller_symbol_, caller ? *caller : Value::undefined("No caller defined")));
  }
  if (info.uses_kwargs && std::find(info.parameter_names.begin(), info.parameter_names.end(), "kwargs") == info.parameter_names.end()) {
    Dict rest;
    for (size_t i = 0; i < args.named.size(); ++i) {
      if (!used[i]) rest.set(Value::string(args.named[i].first, args.named[i].trusted), args.named[i].second);
      used[i] = true;
    }
    KL_ASSIGN(Value kwargs, dict(std::move(rest)));
    KL_TRY(bind_name(scope, kwargs_symbol_, std::move(kwargs)));
  }
  for (size_t i = 0; i < args.named.size(); ++i) {
    if (!used[i]) {
      return error(Code::invalid_argument, "macro '%s' takes no keyword argument '%s'", info.name.c_str(), args.named[i].first.c_str());
    }
  }
  const bool varargs =
      info.uses_varargs && std::find(info.parameter_names.begin(), info.parameter_names.end(), "varargs") == info.parameter_names.end();
  if (varargs) {
    std::vector<Value> rest;
    if (args.plain.size() > count) rest.assign(args.plain.begin() + static_cast<std::ptrdiff_t>(count), args.plain.end());
    KL_ASSIGN(Value tuple, seq(SeqKind::tuple, std::move(rest)));
    KL_TRY(bind_name(scope, varargs_symbol_, std::move(tuple)));
  } else if (args.plain.size() > count) {
    return error(Code::invalid_argument, "macro '%s' takes not more than %zu argument(s), got %zu", info.name.c_str(), count,
                 args.plain.size());
  }
  for (size_t i = 0; i < count; ++i) {
    const size_t from_end = count - i;
    if (given[i]) {
      KL_TRY(bind_name(scope, info.parameters[i], *given[i]));
    } else if (from_end <= info.defaults.size()) {
      KL_ASSIGN(Value value, eval(*info.defaults[info.defaults.size() - from_end]));
      KL_TRY(bind_name(scope, info.parameters[i], std::move(value)));
    } else {
      KL_TRY(bind_name(scope, info.parameters[i], Value::undefined("parameter '" + info.parameter_names[i] + "' was not provided")));
    }
  }
  return {};
}

Result<Value> Interpreter::call_macro(const MacroObject& macro, const Args& args) {
  if (macro_depth_ >= kMaxMacroDepth) return error(Code::unsupported, "macros call each other deeper than %d", kMaxMacroDepth);
  const Depth depth(macro_depth_);
  Scope* outer = scope_;
  Scope* scope = enter(macro.scope);
  scope_ = scope;
  const auto inside = [&]() -> Result<Value> {
    KL_TRY(bind_macro(macro, args, *scope));
    return captured([&] { return exec(macro.node->body); });
  };
  auto written = inside();
  scope_ = outer;
  leave(scope);
  return written;
}

}  // namespace kl::jinja
