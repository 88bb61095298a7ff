// The tables behind find_filter(), find_test() and find_function(), and calling an entry.
#pragma once
#include <span>

#include "text/jinja/tables.h"

namespace kl::jinja {

std::span<const FilterEntry> text_filters();
std::span<const FilterEntry> value_filters();
std::span<const FilterEntry> sequence_filters();
std::span<const TestEntry> all_tests();
std::span<const FunctionEntry> all_functions();

// entry may be null (a name that does not exist): an error that says so.
Result<Value> apply_filter(Runtime&, const FilterEntry* entry, std::string_view name, const Value& input, const Args& args);
Result<bool> apply_test(Runtime&, const TestEntry* entry, std::string_view name, const Value& input, const Args& args);

}  // namespace kl::jinja
