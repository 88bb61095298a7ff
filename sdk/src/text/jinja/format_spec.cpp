#include "text/jinja/format_spec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "text/jinja/format.h"
#include "text/jinja/unicode.h"

namespace kl::jinja {
namespace {

void upper(std::string& text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
}

std::string grouped(std::string digits, char separator, size_t every) {
  const size_t point = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  for (size_t at = point; at > every;) digits.insert(at -= every, 1, separator);
  return digits;
}

// sign + digits, filled to the width; '=' puts the fill between them.
void put_number(const Spec& spec, bool negative, std::string prefix, const std::string& digits, StrBuilder& out) {
  prefix.insert(0, negative ? "-" : spec.sign == '+' ? "+" : spec.sign == ' ' ? " " : "");
  const size_t used = prefix.size() + count_chars(digits);
  const size_t pad = static_cast<size_t>(spec.width) > used ? static_cast<size_t>(spec.width) - used : 0;
  const char align = spec.align ? spec.align : '>';
  const size_t left = align == '>' ? pad : align == '^' ? pad / 2 : 0;
  out.repeat(spec.fill, left, true);
  out.literal(prefix);
  if (align == '=') out.repeat(spec.fill, pad, true);
  out.literal(digits);
  if (align == '<' || align == '^') out.repeat(spec.fill, pad - left, true);
}

}  // namespace

Status too_wide() {
  return error(Code::unsupported, "formatting: widths above %d and precisions above %d are not supported", static_cast<int>(kMaxWidth),
               static_cast<int>(kMaxPrecision));
}
Status bad_format(const std::string& what) { return error(Code::invalid_argument, "formatting: %s", what.c_str()); }

Status put_int(const Spec& spec, int64_t value, StrBuilder& out) {
  const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  const char type = spec.type ? spec.type : 'd';
  const int base = type == 'b' ? 2 : type == 'o' ? 8 : type == 'x' || type == 'X' ? 16 : 10;
  std::array<char, 72> buffer{};
  const auto [end, fault] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), magnitude, base);
  std::string digits(buffer.data(), end);
  if (spec.precision > static_cast<int64_t>(digits.size())) digits.insert(0, static_cast<size_t>(spec.precision) - digits.size(), '0');
  if (spec.group) digits = grouped(std::move(digits), spec.group, base == 10 ? 3 : 4);
  std::string prefix = spec.alternate && base != 10 ? std::string("0") + type : std::string();
  if (type == 'X') upper(digits);
  put_number(spec, value < 0, std::move(prefix), digits, out);
  return {};
}

Status put_float(const Spec& spec, double value, StrBuilder& out) {
  const double magnitude = std::signbit(value) && !std::isnan(value) ? -value : value;
  std::string digits;
  const char type = spec.type;
  if (type == '\0' && spec.precision < 0) {
    digits = float_repr(magnitude);
  } else {
    const char lower = type == '\0' ? 'g' : type == '%' ? 'f' : static_cast<char>(type | 0x20);
    const int precision = spec.precision < 0 ? 6 : static_cast<int>(spec.precision);
    digits = float_digits(type == '%' ? magnitude * 100 : magnitude, lower, lower == 'g' && precision == 0 ? 1 : precision);
    if (type == '\0' && std::isfinite(value) && digits.find_first_of(".e") == std::string::npos) digits += ".0";
    if (type == '%') digits += '%';
    if (type == 'F' || type == 'E' || type == 'G') upper(digits);
  }
  if (spec.alternate) return error(Code::unsupported, "formatting: '#' with a float is not supported");
  if (spec.group) digits = grouped(std::move(digits), spec.group, 3);
  put_number(spec, std::signbit(value) && !std::isnan(value), "", digits, out);
  return {};
}

void put_str(const Spec& spec, const Str& text, StrBuilder& out) {
  const size_t end = spec.precision < 0 ? text.size() : text.offset(static_cast<size_t>(spec.precision));
  const size_t used = count_chars(text.text().substr(0, end));
  const size_t pad = static_cast<size_t>(spec.width) > used ? static_cast<size_t>(spec.width) - used : 0;
  const size_t left = spec.align == '>' ? pad : spec.align == '^' ? pad / 2 : 0;
  out.repeat(spec.fill, left, true);
  out.append(text, 0, end);
  out.repeat(spec.fill, pad - left, true);
}

Result<std::string> character(int64_t code) {
  if (code < 0 || code > 0x10FFFF) return bad_format("%c arg not in range(0x110000)");
  std::string one;
  encode(static_cast<char32_t>(code), one);
  return one;
}

Result<Value> shown(Runtime& rt, const Value& value, bool repr) {
  if (!repr) return rt.str(value);
  StrBuilder out = rt.builder();
  KL_TRY(rt.repr(value, out));
  return rt.text(std::move(out));
}

Result<Spec> parse_spec(std::string_view s) {
  Spec spec;
  size_t pos = 0;
  const auto is_align = [&](size_t at) { return at < s.size() && std::string_view("<>^=").find(s[at]) != std::string_view::npos; };
  if (const size_t first = s.empty() ? 0 : width_at(s, 0); first > 0 && is_align(first)) {
    spec.fill = std::string(s.substr(0, first));
    spec.align = s[first];
    pos = first + 1;
  } else if (is_align(0)) {
    spec.align = s[pos++];
  }
  const auto take = [&](std::string_view any) { return pos < s.size() && any.find(s[pos]) != std::string_view::npos ? s[pos++] : '\0'; };
  if (const char sign = take("+- ")) spec.sign = sign;
  spec.alternate = take("#") != '\0';
  if (take("0") && !spec.align) spec.fill = "0", spec.align = '=';
  const auto number = [&](int64_t& out, int64_t limit) {
    for (out = 0; pos < s.size() && s[pos] >= '0' && s[pos] <= '9' && out <= limit; ++pos) out = out * 10 + (s[pos] - '0');
    return out <= limit;
  };
  if (!number(spec.width, kMaxWidth)) return too_wide();
  spec.group = take(",_");
  if (take(".")) {
    if (pos >= s.size() || s[pos] < '0' || s[pos] > '9') return bad_format("format specifier missing precision");
    if (!number(spec.precision, kMaxPrecision)) return too_wide();
  }
  if (pos < s.size()) spec.type = s[pos++];
  if (pos < s.size()) return bad_format("invalid format specifier '" + std::string(s) + "'");
  return spec;
}

Status put_formatted(Runtime& rt, const Value& value, std::string_view text, StrBuilder& out) {
  if (text.empty()) return rt.str(value, out);
  KL_ASSIGN(Spec spec, parse_spec(text));
  const auto wrong = [&] {
    return bad_format(std::string("unknown format code '") + spec.type + "' for an object of type '" + value.type_name() + "'");
  };
  if (value.is_string()) {
    if (spec.type != '\0' && spec.type != 's') return wrong();
    if (spec.align == '=' && spec.fill != "0") return bad_format("'=' alignment not allowed in string format specifier");
    if (spec.align == '=') spec.align = '<';
    if (spec.sign != '-' || spec.group || spec.alternate)
      return bad_format("sign, ',' and '#' are not allowed in a string format specifier");
    put_str(spec, value.str(), out);
    return {};
  }
  constexpr std::string_view kInt = "bdoxX", kFloat = "eEfFgG%";
  if (value.is(Kind::boolean) && spec.type == '\0') {
    spec.type = 'd';
  }
  if (value.is_integral() && (spec.type == '\0' || kInt.find(spec.type) != std::string_view::npos)) {
    if (spec.precision >= 0) return bad_format("precision not allowed in integer format specifier");
    return put_int(spec, value.as_integer(), out);
  }
  if (value.is_integral() && spec.type == 'c') {
    KL_ASSIGN(const std::string one, character(value.as_integer()));
    if (!spec.align) spec.align = '<';
    put_number(spec, false, "", one, out);
    return {};
  }
  if (value.is_number() && (spec.type == '\0' || kFloat.find(spec.type) != std::string_view::npos))
    return put_float(spec, value.as_real(), out);
  if (value.is_number()) return wrong();
  return bad_format(std::string("unsupported format string for an object of type '") + value.type_name() + "'");
}

void append_field(StrBuilder&& field, bool trusted_format, StrBuilder& out) {
  if (field.overflow()) return out.set_overflow();
  const Str text = field.take();
  if (trusted_format) {
    out.append(text);
  } else {
    out.append(text.text(), false);
  }
}

std::string float_digits(double value, char conversion, int precision) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  const auto style = conversion == 'f'   ? std::chars_format::fixed
                     : conversion == 'e' ? std::chars_format::scientific
                                         : std::chars_format::general;
  std::string out(static_cast<size_t>(precision) + 330, '\0');  // 309 digits before the point at most
  const auto [end, fault] = std::to_chars(out.data(), out.data() + out.size(), value, style, precision);
  out.resize(fault == std::errc() ? static_cast<size_t>(end - out.data()) : 0);
  return out;
}

}  // namespace kl::jinja
