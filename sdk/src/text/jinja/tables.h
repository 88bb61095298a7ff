// The vocabulary of the language as tables: filters, tests, functions and methods. An entry names its parameters ("?" in front: may be left out;
// "*": the entry takes the arguments as they come), the code behind it receives them bound.
#pragma once
#include <array>
#include <string_view>

#include "text/jinja/runtime.h"

namespace kl::jinja {

using Parameters = std::array<const char*, 6>;  // null-terminated unless full

// The arguments of one call: by parameter number, absent ones null; for "*" entries everything is in `all`.
struct Bound {
  std::array<const Value*, 6> at{};
  const Args* all = nullptr;

  const Value* operator[](size_t i) const { return at[i]; }
  // Present and not None.
  bool given(size_t i) const { return at[i] && !at[i]->is_none(); }
};
Result<Bound> bind_args(const char* callee, const Parameters& parameters, const Args& args);

struct FilterEntry {
  const char* name;
  Parameters parameters;
  Result<Value> (*apply)(Runtime&, const Value& input, const Bound&);  // null: known to Jinja2, refused here by name
};
struct TestEntry {
  const char* name;
  Parameters parameters;
  Result<bool> (*apply)(Runtime&, const Value& input, const Bound&);
};
struct FunctionEntry {
  const char* name;
  Parameters parameters;
  Result<Value> (*apply)(Runtime&, const Bound&);
};
struct MethodEntry {
  const char* name;
  Parameters parameters;
  Result<Value> (*apply)(Runtime&, const Value& self, const Bound&);  // null: exists in Python, refused (it would change its object)
};

const FilterEntry* find_filter(std::string_view name);
const TestEntry* find_test(std::string_view name);
const FunctionEntry* find_function(std::string_view name);
// The method of that name of a value's type.
const MethodEntry* find_method(const Value& self, std::string_view name);

}  // namespace kl::jinja
