// Python's two ways to format text: "%d" % x and "{:d}".format(x).
#pragma once
#include "text/jinja/runtime.h"

namespace kl::jinja {

// format % args: a tuple gives several arguments, a dict named ones. Errors: Python's, and widths or precisions above 10,000 and 1,000.
Result<Value> percent_format(Runtime&, const Value& format, const Value& args);
// format.format(*args, **kwargs), with attribute and item access in field names as the sandbox allows it.
Result<Value> brace_format(Runtime&, const Value& format, const Args& args);

// digits as Python's 'f', 'e', 'g' conversions; locale-independent.
std::string float_digits(double value, char conversion, int precision);

}  // namespace kl::jinja
