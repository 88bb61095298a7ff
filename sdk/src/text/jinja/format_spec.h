// One conversion of "%..." or "{:...}" and what it does to numbers and text.
#pragma once
#include "text/jinja/runtime.h"

namespace kl::jinja {

inline constexpr int64_t kMaxWidth = 10'000, kMaxPrecision = 1'000;

// One conversion of either style.
struct Spec {
  std::string fill = " ";
  char align = '\0';  // < > ^ =
  char sign = '-';
  bool alternate = false;
  char group = '\0';  // , or _
  int64_t width = 0;
  int64_t precision = -1;
  char type = '\0';
};

// "{:...}" behind the colon.
Result<Spec> parse_spec(std::string_view text);
Status too_wide();
Status bad_format(const std::string& what);

// Everything but the text itself is appended as trusted: see append_field().
Status put_int(const Spec& spec, int64_t value, StrBuilder& out);
Status put_float(const Spec& spec, double value, StrBuilder& out);
void put_str(const Spec& spec, const Str& text, StrBuilder& out);
// A value formatted as str.format does with this specification.
Status put_formatted(Runtime&, const Value& value, std::string_view spec, StrBuilder& out);
// The character of a code point, for %c and {:c}.
Result<std::string> character(int64_t code);

// repr() or str() of a value as text.
Result<Value> shown(Runtime&, const Value& value, bool repr);

// A format that content had a hand in chooses what is shown (fill characters, arguments, parts of them), so nothing it makes is trusted.
void append_field(StrBuilder&& field, bool trusted_format, StrBuilder& out);

}  // namespace kl::jinja
