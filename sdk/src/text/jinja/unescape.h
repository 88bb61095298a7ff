// Escapes of string literals, by Python's unicode-escape rules.
#pragma once
#include <string>
#include <string_view>

#include "core/status.h"

namespace kl::jinja {

// The text of a literal without its quotes. Errors: a truncated \x, \u or \U, a surrogate, \N{...} (unsupported).
Result<std::string> unescape(std::string_view literal);

}  // namespace kl::jinja
