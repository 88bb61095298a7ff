// The parsed template. Nodes live in one arena and point at each other, so taking a template apart needs no recursion.
#pragma once
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/jinja/value.h"

namespace kl::jinja {

struct FilterEntry;
struct TestEntry;

enum class NodeKind : uint8_t {
  // expressions
  constant,   // value
  name,       // symbol
  list,       // items
  tuple,      // items
  dict,       // items: key, value, key, value ...
  unary,      // op, items[0]
  binary,     // op, items[0], items[1]
  logic_and,  // items[0], items[1]
  logic_or,   // items[0], items[1]
  logic_not,  // items[0]
  compare,    // items[0], then one operand for each of ops
  concat,     // items
  condition,  // items: test, value, [else]
  attribute,  // items[0] . text
  subscript,  // items[0] [ items[1] ]
  slice,      // items[0] [ items[1] : items[2] : items[3] ], null where absent
  call,       // items[0] ( call arguments )
  filter,     // items[0] (null in a filter block) | filter (call arguments)
  test,       // items[0] is test (call arguments)
  // assignment targets
  target_name,       // symbol
  target_tuple,      // items
  target_attribute,  // namespace symbol . text
  // statements
  output,        // items: constants are template text
  set,           // items: target, value
  set_block,     // items: target, [filter chain]; body
  if_,           // items: one test for each branch; branches
  for_,          // items: target, iterable, [filter test]; body, orelse
  macro,         // symbol, macro; body
  call_block,    // items[0]: the call; macro; body
  filter_block,  // items[0]: filter chain; body
  with,          // items: target, value, target, value ...; body
  scope,         // body (generation, autoescape)
  block,         // body, with the top level's names
  break_,
  continue_,
};

enum class Op : uint8_t { add, sub, mul, div, floordiv, mod, pow, neg, pos, eq, ne, lt, le, gt, ge, in, not_in };

struct Node;
using Body = std::vector<const Node*>;

struct MacroInfo {
  std::string name;
  std::vector<int> parameters;  // symbols
  std::vector<std::string> parameter_names;
  std::vector<const Node*> defaults;  // of the last parameters
  bool uses_caller = false, uses_kwargs = false, uses_varargs = false;
  bool explicit_caller = false;  // `caller` is a declared parameter
};

struct Node {
  NodeKind kind = NodeKind::constant;
  Op op = Op::add;
  int line = 0;
  int height = 1;  // of the expression below
  int symbol = -1;
  std::string text;
  Value value;
  std::vector<const Node*> items;
  std::vector<Op> ops;
  std::vector<std::pair<std::string, const Node*>> named;  // keyword arguments
  const Node* star = nullptr;                              // *args
  const Node* star_star = nullptr;                         // **kwargs
  bool recursive = false;                                  // of a loop: loop(items) runs it again
  size_t plain = 0;                                        // of a call, filter or test: items[1 .. plain] are its positional arguments
  Body body, orelse;
  std::vector<Body> branches;
  MacroInfo macro;
  const FilterEntry* filter = nullptr;  // null: unknown name, an error when reached
  const TestEntry* test = nullptr;
};

struct Ast {
  std::deque<Node> nodes;
  std::vector<std::string> symbols;  // names used anywhere, by number
  std::unordered_map<std::string, int> symbol_of;
  Body body;
};

}  // namespace kl::jinja
