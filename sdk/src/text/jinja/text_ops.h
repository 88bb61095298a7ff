// String operations that filters and methods share. All keep the origin of every byte.
#pragma once
#include <functional>

#include "text/jinja/runtime.h"

namespace kl::jinja {

// Each character mapped to text of the same origin.
Result<Value> map_chars(Runtime&, const Value& string, const std::function<void(char32_t, std::string&)>& map);
Result<Value> upper(Runtime&, const Value& string);
Result<Value> lower(Runtime&, const Value& string);
Result<Value> capitalize(Runtime&, const Value& string);
// Strips the characters of `chars` (null: white space) at the ends asked for.
Result<Value> strip(Runtime&, const Value& string, const Value* chars, bool left, bool right);
// At most `count` replacements, all when negative.
Result<Value> replace(Runtime&, const Value& string, const Str& old, const Str& fresh, int64_t count);
// The lines' byte ranges, without their breaks; `full` includes the break.
struct Line {
  size_t begin, end, full;
};
std::vector<Line> split_lines(std::string_view text);
// separator.join(items): every item must be a string.
Result<Value> join(Runtime&, const Value& separator, const std::vector<Value>& items);
// Filled on both sides as str.center does.
Result<Value> center(Runtime&, const Value& string, int64_t width, const Str& fill);

}  // namespace kl::jinja
