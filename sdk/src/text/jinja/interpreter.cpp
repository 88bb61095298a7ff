// Statements and names.
#include "text/jinja/interpreter.h"

#include "text/jinja/ops.h"

namespace kl::jinja {

Interpreter::Interpreter(const Ast& ast, const Value& context, const Limits& limits, std::optional<CivilTime> now)
    : Runtime(limits, now), ast_(ast), globals_(ast.symbols.size()) {
  for (size_t i = 0; i < ast.symbols.size(); ++i) {
    const std::string& name = ast.symbols[i];
    if (const Value* given = context.is(Kind::dict) ? context.dict().find(name) : nullptr) {
      globals_[i] = *given;
    } else if (const FunctionEntry* entry = find_function(name); entry && (name != "strftime_now" || now)) {
      globals_[i] = Value(ObjectRef(std::make_shared<FunctionObject>(entry)));
    }
  }
  const auto symbol = [&](const char* name) {
    const auto found = ast.symbol_of.find(name);
    return found == ast.symbol_of.end() ? -1 : found->second;
  };
  loop_symbol_ = symbol("loop");
  caller_symbol_ = symbol("caller");
  kwargs_symbol_ = symbol("kwargs");
  varargs_symbol_ = symbol("varargs");
}

Result<Str> Interpreter::run() {
  StrBuilder out = builder();
  out_ = &out;
  root_ = scope_ = enter(nullptr);
  keep(root_);
  const Status done = exec(ast_.body);
  out_ = nullptr;
  if (!done.ok()) return error(done.code(), "line %d: %s", line_, done.message().c_str());
  return out.take();
}

// ---- names ----

Scope* Interpreter::enter(Scope* parent) {
  if (free_.empty()) {
    scopes_.push_back(std::make_unique<Scope>());
    free_.push_back(scopes_.back().get());
    budget_.take(sizeof(Scope) + sizeof(void*) * 2);  // a scope too many is noticed by the next value made
  }
  Scope* scope = free_.back();
  free_.pop_back();
  scope->parent = parent;
  return scope;
}

void Interpreter::leave(Scope* scope) {
  if (scope->captured) return;
  scope->names.clear();
  free_.push_back(scope);
}

void Interpreter::keep(Scope* scope) {
  for (; scope && !scope->captured; scope = scope->parent) scope->captured = true;
}

Status Interpreter::bind_name(Scope& scope, int symbol, Value value) {
  for (auto& [known, held] : scope.names) {
    if (known == symbol) {
      held = std::move(value);
      return {};
    }
  }
  KL_TRY(tick(scope.names.size() / 16));
  if (scope.names.size() == scope.names.capacity()) {
    const size_t more = scope.names.empty() ? 4 : scope.names.size();
    KL_TRY(room(more, sizeof(scope.names[0])));
    budget_.take(more * sizeof(scope.names[0]));  // until the end of the rendering
    scope.names.reserve(scope.names.size() + more);
  }
  scope.names.emplace_back(symbol, std::move(value));
  return {};
}

Result<Value> Interpreter::look_up(int symbol) {
  size_t seen = 0;
  for (const Scope* scope = scope_; scope; scope = scope->parent) {
    for (const auto& [known, held] : scope->names) {
      if (known == symbol) return held;
    }
    seen += scope->names.size();
  }
  KL_TRY(tick(seen / 16));
  if (const auto& global = globals_[static_cast<size_t>(symbol)]) return *global;
  return Value::undefined("'" + ast_.symbols[static_cast<size_t>(symbol)] + "' is undefined");
}

Status Interpreter::assign(const Node& target, const Value& value) {
  line_ = target.line;
  if (target.kind == NodeKind::target_name) return bind_name(*scope_, target.symbol, value);
  if (target.kind == NodeKind::target_tuple) {
    KL_ASSIGN(const SeqRef parts, items(value));
    if (parts->items.size() != target.items.size()) {
      return error(Code::invalid_argument, "expected %zu values to unpack, got %zu", target.items.size(), parts->items.size());
    }
    for (size_t i = 0; i < parts->items.size(); ++i) KL_TRY(assign(*target.items[i], parts->items[i]));
    return {};
  }
  KL_ASSIGN(const Value space, look_up(target.symbol));
  if (!space.is(Kind::space)) return error(Code::invalid_argument, "cannot assign attribute on non-namespace object");
  if (target.text.starts_with('_')) return error(Code::invalid_argument, "namespaces cannot hold attributes that start with an underscore");
  if (value.depth() >= kMaxValueDepth) return error(Code::unsupported, "the template nests lists deeper than %d", kMaxValueDepth);
  return space.space()->attributes.set(target.text, value) ? space_grew() : Status();
}

// ---- statements ----

Status Interpreter::exec(const Body& body) {
  for (const Node* node : body) {
    KL_TRY(exec(*node));
    if (flow_ != Flow::normal) return {};
  }
  return {};
}

Status Interpreter::exec(const Node& node) {
  const Depth depth(depth_);
  line_ = node.line;
  KL_TRY(tick());
  if (depth_ > kMaxRunDepth) return error(Code::unsupported, "the template runs deeper than %d nested steps", kMaxRunDepth);
  switch (node.kind) {
    case NodeKind::output:
      return exec_output(node);
    case NodeKind::set: {
      KL_ASSIGN(const Value value, eval(*node.items[1]));
      return assign(*node.items[0], value);
    }
    case NodeKind::set_block:
      return exec_set_block(node);
    case NodeKind::if_:
      return exec_if(node);
    case NodeKind::for_:
      return exec_for(node);
    case NodeKind::macro: {
      KL_ASSIGN(Value macro, make_macro(node));
      return bind_name(*scope_, node.symbol, std::move(macro));
    }
    case NodeKind::call_block: {
      KL_ASSIGN(const Value caller, make_macro(node));
      KL_ASSIGN(const Value written, eval_call(*node.items[0], &caller));
      return str(written, *out_);
    }
    case NodeKind::filter_block: {
      Scope* scope = enter(scope_);
      scope_ = scope;
      auto text = captured([&] { return exec(node.body); });
      auto done = text.ok() && flow_ == Flow::normal ? filter_chain(*node.items[0], *text) : text;
      scope_ = scope->parent;
      leave(scope);
      if (!done.ok() || flow_ != Flow::normal) return done.status();
      return str(*done, *out_);
    }
    case NodeKind::with:
      return exec_with(node);
    case NodeKind::scope:
      return exec_scoped(node.body, scope_);
    case NodeKind::block:
      return exec_scoped(node.body, root_);
    case NodeKind::break_:
      flow_ = Flow::break_;
      return {};
    case NodeKind::continue_:
      flow_ = Flow::continue_;
      return {};
    default:
      return error(Code::internal, "an expression stands where a statement should");
  }
}

Status Interpreter::exec_output(const Node& node) {
  for (const Node* item : node.items) {
    if (item->kind == NodeKind::constant && item->value.is_string()) {
      KL_TRY(str(item->value, *out_));
    } else {
      KL_ASSIGN(const Value value, eval(*item));
      KL_TRY(str(value, *out_));
    }
    if (out_->overflow()) {
      return error(Code::unsupported, "the template writes more than %s bytes", with_commas(limits().output_bytes).c_str());
    }
  }
  return {};
}

Result<Value> Interpreter::captured(const std::function<Status()>& write) {
  StrBuilder* outer = out_;
  const size_t before = open_bytes_;
  open_bytes_ += outer->size();
  StrBuilder inner(limits().output_bytes -
                   std::min(open_bytes_, limits().output_bytes));  // all open outputs together stay inside the limit
  out_ = &inner;
  const Status done = write();
  out_ = outer;
  open_bytes_ = before;
  KL_TRY(done);
  return text(std::move(inner));
}

Result<Value> Interpreter::filter_chain(const Node& chain, const Value& input) {
  const Value* outer = filter_input_;
  filter_input_ = &input;
  auto value = eval(chain);
  filter_input_ = outer;
  return value;
}

Status Interpreter::exec_set_block(const Node& node) {
  Scope* scope = enter(scope_);
  scope_ = scope;
  auto value = captured([&] { return exec(node.body); });
  if (value.ok() && flow_ == Flow::normal && node.items.size() > 1) {
    const Value input = *value;
    value = filter_chain(*node.items[1], input);
  }
  scope_ = scope->parent;
  leave(scope);
  if (!value.ok() || flow_ != Flow::normal) return value.status();
  return assign(*node.items[0], *value);
}

Status Interpreter::exec_if(const Node& node) {
  for (size_t i = 0; i < node.items.size(); ++i) {
    KL_ASSIGN(const Value condition, eval(*node.items[i]));
    if (condition.truthy()) return exec(node.branches[i]);
  }
  return exec(node.orelse);
}

Status Interpreter::exec_scoped(const Body& body, Scope* parent) {
  Scope* outer = scope_;
  Scope* scope = enter(parent);
  scope_ = scope;
  Status done = exec(body);
  scope_ = outer;
  leave(scope);
  return done;
}

Status Interpreter::exec_with(const Node& node) {
  Scope* scope = enter(scope_);
  Scope* outer = scope_;
  const auto inside = [&]() -> Status {
    for (size_t i = 0; i < node.items.size(); i += 2) {
      scope_ = outer;  // the values see the names around the block
      KL_ASSIGN(const Value value, eval(*node.items[i + 1]));
      scope_ = scope;
      KL_TRY(assign(*node.items[i], value));
    }
    scope_ = scope;
    return exec(node.body);
  };
  Status done = inside();
  scope_ = outer;
  leave(scope);
  return done;
}

Result<SeqRef> Interpreter::filtered(const Node& node, const SeqRef& all) {
  std::vector<Value> kept;
  Scope* outer = scope_;
  for (const Value& each : all->items) {
    Scope* scope = enter(outer);
    scope_ = scope;
    const auto passes = [&]() -> Result<bool> {
      KL_TRY(assign(*node.items[0], each));
      KL_ASSIGN(const Value condition, eval(*node.items[2]));
      return condition.truthy();
    };
    const auto pass = passes();
    scope_ = outer;
    leave(scope);
    KL_TRY(pass.status());
    if (*pass) kept.push_back(each);
  }
  KL_ASSIGN(const Value list, this->list(std::move(kept)));
  return list.seq_ref();
}

Status Interpreter::iterate(const Node& node, const SeqRef& items, int level, bool& completed) {
  Scope* outer = scope_;
  std::shared_ptr<LoopObject> loop;
  Value loop_value;
  if (loop_symbol_ >= 0) {
    if (node.recursive) keep(outer);
    loop = std::make_shared<LoopObject>(items, &node, outer, level);
    KL_ASSIGN(loop_value, object(loop, sizeof(LoopObject)));
  }
  const auto all = [&]() -> Status {
    for (size_t i = 0; i < items->items.size(); ++i) {
      KL_TRY(tick());
      if (loop) {
        loop->index = i;
        KL_TRY(bind_name(*scope_, loop_symbol_, loop_value));
      }
      KL_TRY(assign(*node.items[0], items->items[i]));
      KL_TRY(exec(node.body));
      if (flow_ == Flow::normal) completed = true;
      const Flow flow = std::exchange(flow_, Flow::normal);
      if (flow == Flow::break_) return {};
      // The next item gets a fresh scope.
      leave(scope_);
      scope_ = enter(outer);
    }
    return {};
  };
  scope_ = enter(outer);
  Status done = all();
  leave(scope_);
  scope_ = outer;
  if (loop) loop->last_changed.clear();
  return done;
}

Status Interpreter::loop_over(const Node& node, const Value& iterable, int level) {
  KL_ASSIGN(SeqRef all, items(iterable));
  if (node.items.size() > 2) {
    KL_ASSIGN(all, filtered(node, all));
  }
  // As in Jinja2, a loop whose every item left early (break, continue) counts as empty for `else`.
  bool completed = false;
  KL_TRY(iterate(node, all, level, completed));
  if (completed || node.orelse.empty()) return {};
  return exec_scoped(node.orelse, scope_);
}

Status Interpreter::exec_for(const Node& node) {
  KL_ASSIGN(const Value iterable, eval(*node.items[1]));
  return loop_over(node, iterable, 0);
}

}  // namespace kl::jinja
