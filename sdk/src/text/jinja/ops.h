// Python's operators on values. Errors are Python's (types that do not fit, division by zero) and 64-bit overflow.
#pragma once
#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"

namespace kl::jinja {

Result<Value> binary(Runtime&, Op op, const Value& a, const Value& b);  // add .. pow
Result<Value> unary(Op op, const Value& v);                             // neg, pos
Result<bool> compare(Runtime&, Op op, const Value& a, const Value& b);  // eq .. not_in
Result<bool> equal(Runtime&, const Value& a, const Value& b);
Result<bool> less(Runtime&, const Value& a, const Value& b);
Result<bool> contains(Runtime&, const Value& container, const Value& item);
Result<Value> integer_power(int64_t base, int64_t exponent);

// value.name: a method or attribute first, then value["name"]; undefined when there is neither (and for what the sandbox forbids).
Result<Value> attribute(Runtime&, const Value& value, std::string_view name);
// value[key]: the item first, then the attribute.
Result<Value> item(Runtime&, const Value& value, const Value& key);
// value[start:stop:step]; null: left out.
Result<Value> slice(Runtime&, const Value& value, const Value* start, const Value* stop, const Value* step);
// len(value). Errors: no length.
Result<int64_t> length(const Value& value);

// Text with & < > " ' escaped as HTML, and marked safe; what is safe already stays as it is.
Result<Value> escape_html(Runtime&, const Value& value);

// A stable sort of `order` (indexes) by less(keys[i], keys[j]).
Status sort_by(Runtime&, const std::vector<Value>& keys, bool reverse, std::vector<size_t>& order);

}  // namespace kl::jinja
