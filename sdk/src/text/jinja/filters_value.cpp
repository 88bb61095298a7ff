// Filters on numbers and on single values.
#include <cmath>

#include "text/jinja/filters.h"
#include "text/jinja/format.h"
#include "text/jinja/numbers.h"
#include "text/jinja/ops.h"

namespace kl::jinja {
namespace {

Result<Value> abs_f(Runtime&, const Value& v, const Bound&) {
  if (v.is_integral()) return v.as_integer() < 0 ? unary(Op::neg, v) : Value::integer(v.as_integer());
  if (v.is(Kind::real)) return Value::real(std::abs(v.as_real()));
  if (v.is_undefined()) return undefined_error(v);
  return error(Code::invalid_argument, "abs: bad operand type '%s'", v.type_name());
}

Status int_overflow() { return error(Code::unsupported, "int: the number does not fit a 64-bit integer"); }

// The integer part; nothing for NaN.
Result<std::optional<Value>> truncated(double d) {
  if (std::isnan(d)) return std::optional<Value>();
  if (!(std::abs(d) < 9.2233720368547e18)) return int_overflow();
  return std::optional<Value>(Value::integer(static_cast<int64_t>(d)));
}

Result<Value> int_f(Runtime& rt, const Value& v, const Bound& a) {
  const Value fallback = a[0] ? *a[0] : Value::integer(0);
  int64_t base = 10;
  if (a[1]) {
    KL_ASSIGN(base, want_int(*a[1], "int base"));
  }
  if (v.is_undefined()) return undefined_error(v);
  if (v.is_integral()) return Value::integer(v.as_integer());
  std::optional<double> real;
  if (v.is(Kind::real)) {
    if (std::isinf(v.as_real())) return error(Code::invalid_argument, "int: cannot convert float infinity to integer");
    real = v.as_real();
  }
  if (v.is_string()) {
    KL_TRY(rt.tick_bytes(v.str().size() * 8));
    bool too_big = false;
    if (base == 0 || (base >= 2 && base <= 36)) {
      if (const auto parsed = parse_int(v.str().text(), base, too_big)) return Value::integer(*parsed);
    }
    if (too_big) return int_overflow();
    real = parse_float(v.str().text());
    if (real && std::isinf(*real)) return fallback;
  }
  if (!real) return fallback;
  KL_ASSIGN(std::optional<Value> whole, truncated(*real));
  return whole ? *whole : fallback;
}

Result<Value> float_f(Runtime& rt, const Value& v, const Bound& a) {
  if (v.is_undefined()) return undefined_error(v);
  if (v.is_number()) return Value::real(v.as_real());
  if (v.is_string()) {
    KL_TRY(rt.tick_bytes(v.str().size() * 8));
    if (const auto parsed = parse_float(v.str().text())) return Value::real(*parsed);
  }
  return a[0] ? *a[0] : Value::real(0);
}

Result<Value> round_f(Runtime& rt, const Value& v, const Bound& a) {
  int64_t digits = 0;
  if (a[0]) {
    KL_ASSIGN(digits, want_int(*a[0], "round"));
  }
  std::string method = "common";
  if (a[1]) {
    KL_ASSIGN(const Str* name, want_str(*a[1], "round"));
    method = std::string(name->text());
  }
  if (v.is_undefined()) return undefined_error(v);
  if (!v.is_number()) return error(Code::invalid_argument, "round: expected a number, got '%s'", v.type_name());
  if (method == "common") {
    if (v.is_integral()) {
      if (digits >= 0) return Value::integer(v.as_integer());
      if (digits < -18) return Value::integer(0);
      KL_ASSIGN(const Value unit, integer_power(10, -digits));
      const int64_t u = unit.as_integer(), i = v.as_integer();
      int64_t rest = i % u;
      if (rest < 0) rest += u;
      int64_t low = 0;
      if (__builtin_sub_overflow(i, rest, &low)) return int_overflow();
      const bool up = rest > u - rest || (rest == u - rest && (low / u) % 2 != 0);
      return binary(rt, Op::add, Value::integer(low), Value::integer(up ? u : 0));
    }
    KL_ASSIGN(const double rounded, round_float(v.as_real(), digits));
    return Value::real(rounded);
  }
  if (method != "ceil" && method != "floor") return error(Code::invalid_argument, "round: method must be common, ceil or floor");
  KL_ASSIGN(const Value unit, integer_power(10, digits));
  KL_ASSIGN(const Value scaled, binary(rt, Op::mul, v, unit));
  const double d = scaled.as_real();
  KL_ASSIGN(const std::optional<Value> whole, truncated(method == "ceil" ? std::ceil(d) : std::floor(d)));
  if (!whole) return error(Code::invalid_argument, "round: cannot convert float NaN to integer");
  return binary(rt, Op::div, *whole, unit);
}

Result<Value> filesizeformat_f(Runtime& rt, const Value& v, const Bound& a) {
  const Args none;
  KL_ASSIGN(const Bound no_args, bind_args("float", {"?default"}, none));
  if (v.is_string() && !parse_float(v.str().text()))
    return error(Code::invalid_argument, "filesizeformat: could not convert string to float");
  if (!v.is_string() && !v.is_number()) return error(Code::invalid_argument, "filesizeformat: expected a number, got '%s'", v.type_name());
  KL_ASSIGN(const Value number, float_f(rt, v, no_args));
  const double bytes = number.as_real();
  const bool binary_units = a[0] && a[0]->truthy();
  const double base = binary_units ? 1024 : 1000;
  if (bytes == 1) return rt.text("1 Byte");
  if (!(bytes >= base)) return rt.text(format("%.0f Bytes", std::trunc(bytes)));
  constexpr std::string_view kLetters = "KMGTPEZY";
  double unit = base * base;
  size_t i = 0;
  for (; i + 1 < kLetters.size() && bytes >= unit; ++i) unit *= base;
  std::string text = float_digits(base * bytes / unit, 'f', 1) + " ";
  text += binary_units || i > 0 ? kLetters[i] : 'k';
  return rt.text(text + (binary_units ? "iB" : "B"));
}

Result<Value> default_f(Runtime& rt, const Value& v, const Bound& a) {
  const bool replaced = v.is_undefined() || (a[1] && a[1]->truthy() && !v.truthy());
  if (!replaced) return v;
  return a[0] ? Result<Value>(*a[0]) : rt.text("");
}

Result<Value> attr_f(Runtime& rt, const Value& v, const Bound& a) {
  KL_ASSIGN(const Str* name, want_str(*a[0], "attr"));
  if (v.is_undefined()) return undefined_error(v);
  const bool own = v.is(Kind::space) || v.is(Kind::object) || find_method(v, name->text()) != nullptr;
  if (own) return attribute(rt, v, name->text());
  return Value::undefined(kl::format("'%s object' has no such attribute", v.type_name()));
}

Result<Value> length_f(Runtime& rt, const Value& v, const Bound&) {
  if (v.is_string()) KL_TRY(rt.tick_bytes(v.str().size()));
  KL_ASSIGN(const int64_t n, length(v));
  return Value::integer(n);
}

constexpr FilterEntry kFilters[] = {
    {"abs", {}, abs_f},
    {"attr", {"name"}, attr_f},
    {"count", {}, length_f},
    {"d", {"?default_value", "?boolean"}, default_f},
    {"default", {"?default_value", "?boolean"}, default_f},
    {"filesizeformat", {"?binary"}, filesizeformat_f},
    {"float", {"?default"}, float_f},
    {"int", {"?default", "?base"}, int_f},
    {"length", {}, length_f},
    {"round", {"?precision", "?method"}, round_f},
};

}  // namespace

std::span<const FilterEntry> value_filters() { return kFilters; }

}  // namespace kl::jinja
