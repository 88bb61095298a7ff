// Callable values, and `loop`.
#pragma once
#include "text/jinja/ast.h"
#include "text/jinja/tables.h"

namespace kl::jinja {

struct Scope;

struct FunctionObject final : Object {
  explicit FunctionObject(const FunctionEntry* e) : Object(Type::function, 0), entry(e) {}
  const FunctionEntry* entry;
};

// A method taken off its value without being called: {% set f = x.upper %}.
struct MethodObject final : Object {
  MethodObject(Value s, const MethodEntry* e) : Object(Type::method, s.depth() + 1), self(std::move(s)), entry(e) {}
  Value self;
  const MethodEntry* entry;
};

// A macro, or the body of a call block. Its scope belongs to the rendering.
struct MacroObject final : Object {
  MacroObject(const Node* n, Scope* s) : Object(Type::macro, 0), node(n), scope(s) {}
  const Node* node;
  Scope* scope;
};

struct LoopObject final : Object {
  LoopObject(SeqRef i, const Node* n, Scope* s, int l)
      : Object(Type::loop, i->depth + 1), items(std::move(i)), node(n), scope(s), level(l) {}
  SeqRef items;
  const Node* node;  // the loop and the names around it: what loop(items) runs again
  Scope* scope;
  int level;  // of recursion, from 0
  size_t index = 0;
  std::vector<Value> last_changed;  // of loop.changed(); cleared when the loop ends (it may hold the loop itself)
  bool changed_called = false;
};

struct CyclerObject final : Object {
  CyclerObject(std::vector<Value> i, int d) : Object(Type::cycler, d), items(std::move(i)) {}
  std::vector<Value> items;
  size_t next = 0;
};

struct JoinerObject final : Object {
  explicit JoinerObject(Value s) : Object(Type::joiner, s.depth() + 1), separator(std::move(s)) {}
  Value separator;
  bool used = false;
};

}  // namespace kl::jinja
