#include <cmath>

#include "text/jinja/format.h"
#include "text/jinja/ops.h"

namespace kl::jinja {
namespace {

constexpr const char* kOpNames[] = {"+", "-", "*", "/", "//", "%", "**"};

Status mismatch(Op op, const Value& a, const Value& b) {
  if (a.is_undefined()) return undefined_error(a);
  if (b.is_undefined()) return undefined_error(b);
  return error(Code::invalid_argument, "unsupported operand types for %s: '%s' and '%s'", kOpNames[static_cast<size_t>(op)], a.type_name(),
               b.type_name());
}
Status overflow(Op op) {
  return error(Code::unsupported, "the result of %s does not fit a 64-bit integer", kOpNames[static_cast<size_t>(op)]);
}

Result<Value> real_op(Op op, double a, double b) {
  switch (op) {
    case Op::add:
      return Value::real(a + b);
    case Op::sub:
      return Value::real(a - b);
    case Op::mul:
      return Value::real(a * b);
    case Op::pow: {
      if (a == 0 && b < 0) return error(Code::invalid_argument, "0.0 cannot be raised to a negative power");
      const double power = std::pow(a, b);
      if (std::isnan(power) && !std::isnan(a) && !std::isnan(b)) return error(Code::unsupported, "complex numbers are not supported");
      if (std::isinf(power) && std::isfinite(a) && std::isfinite(b)) return error(Code::invalid_argument, "the result of ** is too large");
      return Value::real(power);
    }
    default:
      break;
  }
  if (b == 0) return error(Code::invalid_argument, "float division by zero");
  if (op == Op::div) return Value::real(a / b);
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (rest < 0) != (b < 0)) {
    rest += b;
    quotient -= 1;
  }
  if (op == Op::mod) return Value::real(rest == 0 ? std::copysign(0.0, b) : rest);
  if (quotient == 0) return Value::real(std::copysign(0.0, a / b));
  const double whole = std::floor(quotient);
  return Value::real(quotient - whole > 0.5 ? whole + 1 : whole);
}

Result<Value> integer_op(Op op, int64_t a, int64_t b) {
  int64_t out = 0;
  switch (op) {
    case Op::add:
      return __builtin_add_overflow(a, b, &out) ? Result<Value>(overflow(op)) : Value::integer(out);
    case Op::sub:
      return __builtin_sub_overflow(a, b, &out) ? Result<Value>(overflow(op)) : Value::integer(out);
    case Op::mul:
      return __builtin_mul_overflow(a, b, &out) ? Result<Value>(overflow(op)) : Value::integer(out);
    case Op::pow:
      return integer_power(a, b);
    default:
      break;
  }
  if (b == 0) return error(Code::invalid_argument, "division by zero");
  if (op == Op::div) return Value::real(static_cast<double>(a) / static_cast<double>(b));
  if (b == -1) return op == Op::mod ? Value::integer(0) : integer_op(Op::sub, 0, a);
  int64_t quotient = a / b, rest = a % b;
  if (rest != 0 && (rest < 0) != (b < 0)) {
    rest += b;
    quotient -= 1;
  }
  return Value::integer(op == Op::mod ? rest : quotient);
}

Result<Value> concatenate(Runtime& rt, const Value& a, const Value& b) {
  const bool markup = a.str().markup() || b.str().markup();
  Value left = a, right = b;
  if (markup) {
    KL_ASSIGN(left, escape_html(rt, a));
    KL_ASSIGN(right, escape_html(rt, b));
  }
  StrBuilder out = rt.builder();
  out.expect(left.str().size() + right.str().size());
  out.append(left.str());
  out.append(right.str());
  return rt.text(std::move(out), markup);
}

Result<Value> repeated(Runtime& rt, const Value& v, int64_t times) {
  const uint64_t n = times < 0 ? 0 : static_cast<uint64_t>(times);
  if (v.is_string()) {
    StrBuilder out = rt.builder();
    out.repeat(v.str(), n);
    return rt.text(std::move(out), v.str().markup());
  }
  const auto& items = v.seq().items;
  if (!items.empty()) {
    KL_TRY(rt.room(n, items.size() * sizeof(Value)));
    KL_TRY(rt.tick(n * items.size()));
  }
  std::vector<Value> out;
  out.reserve(items.empty() ? 0 : n * items.size());
  for (uint64_t i = 0; i < n && !items.empty(); ++i) out.insert(out.end(), items.begin(), items.end());
  return rt.seq(v.seq().kind, std::move(out));
}

bool plain_seq(const Value& v) { return v.is(Kind::sequence) && (v.seq().kind == SeqKind::list || v.seq().kind == SeqKind::tuple); }

}  // namespace

Result<Value> integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return error(Code::invalid_argument, "0 cannot be raised to a negative power");
    return real_op(Op::pow, static_cast<double>(base), static_cast<double>(exponent));
  }
  int64_t out = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(out, base, &out)) return overflow(Op::pow);
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return overflow(Op::pow);
  }
  return Value::integer(out);
}

Result<Value> binary(Runtime& rt, Op op, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return integer_op(op, a.as_integer(), b.as_integer());
  if (a.is_number() && b.is_number()) return real_op(op, a.as_real(), b.as_real());
  if (op == Op::add) {
    if (a.is_string() && b.is_string()) return concatenate(rt, a, b);
    if (plain_seq(a) && plain_seq(b) && a.seq().kind == b.seq().kind) {
      const size_t total = a.seq().items.size() + b.seq().items.size();
      KL_TRY(rt.room(total, sizeof(Value)));
      std::vector<Value> out;
      out.reserve(total);
      out.insert(out.end(), a.seq().items.begin(), a.seq().items.end());
      out.insert(out.end(), b.seq().items.begin(), b.seq().items.end());
      return rt.seq(a.seq().kind, std::move(out));
    }
  }
  if (op == Op::mul) {
    if ((a.is_string() || plain_seq(a)) && b.is_integral()) return repeated(rt, a, b.as_integer());
    if ((b.is_string() || plain_seq(b)) && a.is_integral()) return repeated(rt, b, a.as_integer());
  }
  if (op == Op::mod && a.is_string()) return percent_format(rt, a, b);
  return mismatch(op, a, b);
}

Result<Value> unary(Op op, const Value& v) {
  if (v.is_integral()) {
    if (op == Op::pos) return Value::integer(v.as_integer());
    return integer_op(Op::sub, 0, v.as_integer());
  }
  if (v.is(Kind::real)) return Value::real(op == Op::neg ? -v.as_real() : v.as_real());
  if (v.is_undefined()) return undefined_error(v);
  return error(Code::invalid_argument, "bad operand type for unary %s: '%s'", op == Op::neg ? "-" : "+", v.type_name());
}

}  // namespace kl::jinja
