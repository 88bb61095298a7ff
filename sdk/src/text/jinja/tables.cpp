#include "text/jinja/tables.h"

#include <algorithm>
#include <span>

#include "text/jinja/filters.h"

namespace kl::jinja {
namespace {

template <class Entry>
const Entry* find_in(std::span<const Entry> table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(), [&](const Entry& e) { return name == e.name; });
  return found == table.end() ? nullptr : &*found;
}

std::string_view bare(const char* parameter) { return parameter[0] == '?' ? parameter + 1 : parameter; }

}  // namespace

Result<Bound> bind_args(const char* callee, const Parameters& parameters, const Args& args) {
  Bound bound;
  bound.all = &args;
  size_t count = 0;
  while (count < parameters.size() && parameters[count]) ++count;
  if (count > 0 && parameters[0][0] == '*') return bound;
  if (args.plain.size() > count) {
    return error(Code::invalid_argument, "%s() takes at most %zu arguments, got %zu", callee, count, args.plain.size());
  }
  for (size_t i = 0; i < args.plain.size(); ++i) bound.at[i] = &args.plain[i];
  for (const auto& [name, value, trusted] : args.named) {
    size_t i = 0;
    while (i < count && bare(parameters[i]) != name) ++i;
    if (i == count) return error(Code::invalid_argument, "%s() got an unexpected keyword argument '%s'", callee, name.c_str());
    if (bound.at[i]) return error(Code::invalid_argument, "%s() got several values for the argument '%s'", callee, name.c_str());
    bound.at[i] = &value;
  }
  for (size_t i = 0; i < count; ++i) {
    if (!bound.at[i] && parameters[i][0] != '?')
      return error(Code::invalid_argument, "%s() needs the argument '%s'", callee, parameters[i]);
  }
  return bound;
}

const FilterEntry* find_filter(std::string_view name) {
  for (const auto table : {text_filters(), value_filters(), sequence_filters()}) {
    if (const FilterEntry* entry = find_in(table, name)) return entry;
  }
  return nullptr;
}
const TestEntry* find_test(std::string_view name) { return find_in(all_tests(), name); }
const FunctionEntry* find_function(std::string_view name) { return find_in(all_functions(), name); }

Result<Value> apply_filter(Runtime& rt, const FilterEntry* entry, std::string_view name, const Value& input, const Args& args) {
  if (!entry) return error(Code::invalid_argument, "no filter named '%.*s'", static_cast<int>(name.size()), name.data());
  if (!entry->apply) return error(Code::unsupported, "the filter '%s' is not supported in chat templates", entry->name);
  KL_TRY(rt.tick());
  KL_ASSIGN(const Bound bound, bind_args(entry->name, entry->parameters, args));
  return entry->apply(rt, input, bound);
}

Result<bool> apply_test(Runtime& rt, const TestEntry* entry, std::string_view name, const Value& input, const Args& args) {
  if (!entry) return error(Code::invalid_argument, "no test named '%.*s'", static_cast<int>(name.size()), name.data());
  KL_TRY(rt.tick());
  KL_ASSIGN(const Bound bound, bind_args(entry->name, entry->parameters, args));
  return entry->apply(rt, input, bound);
}

}  // namespace kl::jinja
