// int() and float() of text, and Python's round().
#pragma once
#include <optional>
#include <string_view>

#include "core/status.h"

namespace kl::jinja {

// int(text, base): spaces around, a sign, single underscores, and the prefix of base 2, 8, 16 (base 0: decided by it). Nothing when it is none.
std::optional<int64_t> parse_int(std::string_view text, int64_t base, bool& too_big);
std::optional<double> parse_float(std::string_view text);
// round(value, digits): the nearest decimal, ties (exact in binary) to even.
Result<double> round_float(double value, int64_t digits);

}  // namespace kl::jinja
