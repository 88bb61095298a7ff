// Runs a parsed template. One object per rendering.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/objects.h"
#include "text/jinja/runtime.h"

namespace kl::jinja {

// The names of one block of the template. Kept until the end of the rendering when a macro was made in it, else used again.
struct Scope {
  Scope* parent = nullptr;
  bool captured = false;
  std::vector<std::pair<int, Value>> names;  // symbol, value
};

class Interpreter final : public Runtime {
 public:
  // context: a dict of the template's variables. Both must outlive the interpreter.
  Interpreter(const Ast& ast, const Value& context, const Limits& limits, std::optional<CivilTime> now);

  // The whole template's output. Errors carry "line N".
  Result<Str> run();
  Result<Value> call(const Value& callee, const Args& args) override;

 private:
  enum class Flow : uint8_t { normal, break_, continue_ };
  class Depth;

  // Statements (interpreter.cpp).
  Status exec(const Body& body);
  Status exec(const Node& node);
  Status exec_output(const Node& node);
  Status exec_set_block(const Node& node);
  Status exec_if(const Node& node);
  Status exec_for(const Node& node);
  Status loop_over(const Node& node, const Value& iterable, int level);
  Result<Value> call_loop(const LoopObject& loop, const Args& args);
  Status iterate(const Node& node, const SeqRef& items, int level, bool& completed);
  Result<SeqRef> filtered(const Node& node, const SeqRef& items);
  Status exec_with(const Node& node);
  Status exec_scoped(const Body& body, Scope* parent);
  Status assign(const Node& target, const Value& value);
  Result<Value> captured(const std::function<Status()>& write);  // what it writes, as a string
  Result<Value> filter_chain(const Node& chain, const Value& input);

  // Names.
  Scope* enter(Scope* parent);
  void leave(Scope* scope);
  void keep(Scope* scope);
  Status bind_name(Scope& scope, int symbol, Value value);
  Result<Value> look_up(int symbol);

  // Expressions and calls (evaluate.cpp).
  Result<Value> eval(const Node& node);
  Result<Value> eval_inner(const Node& node);
  Result<Value> eval_list(const Node& node, SeqKind kind);
  Result<Value> eval_dict(const Node& node);
  Result<Value> eval_compare(const Node& node);
  Result<Value> eval_concat(const Node& node);
  Result<Value> eval_condition(const Node& node);
  Result<Value> eval_slice(const Node& node);
  Result<Value> eval_call(const Node& node, const Value* caller);
  Result<Value> eval_filter(const Node& node);
  Result<Value> eval_test(const Node& node);
  Result<Args> eval_args(const Node& node);
  Result<Value> call_macro(const MacroObject& macro, const Args& args);
  Status bind_macro(const MacroObject& macro, const Args& args, Scope& scope);
  Result<Value> make_macro(const Node& node);

  const Ast& ast_;
  std::vector<std::optional<Value>> globals_;  // context and functions, by symbol
  std::vector<std::unique_ptr<Scope>> scopes_;
  std::vector<Scope*> free_;
  Scope* root_ = nullptr;
  Scope* scope_ = nullptr;
  StrBuilder* out_ = nullptr;
  size_t open_bytes_ = 0;                // in the outputs around the one being written
  const Value* filter_input_ = nullptr;  // of a filter or set block
  Flow flow_ = Flow::normal;
  int loop_symbol_ = -1, caller_symbol_ = -1, kwargs_symbol_ = -1, varargs_symbol_ = -1;
  int line_ = 1;
  int depth_ = 0;
  int macro_depth_ = 0;
};

class Interpreter::Depth {
 public:
  explicit Depth(int& depth) : depth_(++depth) {}
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;
  ~Depth() { --depth_; }

 private:
  int& depth_;
};

}  // namespace kl::jinja
