#include "text/jinja/format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "text/jinja/ops.h"
#include "text/jinja/unicode.h"

namespace kl::jinja {
namespace {

constexpr int64_t kMaxWidth = 10'000, kMaxPrecision = 1'000;

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

Status too_wide() {
  return error(Code::unsupported, "formatting: widths above %d and precisions above %d are not supported", static_cast<int>(kMaxWidth),
               static_cast<int>(kMaxPrecision));
}
Status bad(const std::string& what) { return error(Code::invalid_argument, "formatting: %s", what.c_str()); }

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

// repr() or str() of a value as text.
Result<Value> shown(Runtime& rt, const Value& value, bool repr) {
  if (!repr) return rt.str(value);
  StrBuilder out = rt.builder();
  KL_TRY(rt.repr(value, out));
  return rt.text(std::move(out));
}

// ---- "%...": flags, width, precision, type ----

class Percent {
 public:
  Percent(Runtime& rt, const Value& format, const Value& args)
      : rt_(rt), text_(format.str()), args_(args), several_(args.is(Kind::sequence) && args.seq().kind == SeqKind::tuple), out_(rt.builder()) {}

  Result<Value> run() {
    const std::string_view f = text_.text();
    for (size_t pos = 0; pos < f.size();) {
      const size_t percent = std::min(f.find('%', pos), f.size());
      out_.append(text_, pos, percent);
      pos = percent;
      if (pos == f.size()) break;
      KL_TRY(rt_.tick());
      KL_TRY(conversion(pos));
    }
    const bool mapping = args_.is(Kind::dict) || args_.is_undefined() || (args_.is(Kind::sequence) && !several_);
    if (used_ < count() && !mapping) return bad("not all arguments were converted");
    return rt_.text(std::move(out_), text_.markup());
  }

 private:
  size_t count() const { return several_ ? args_.seq().items.size() : 1; }
  Result<Value> next() {
    if (used_ >= count()) return bad("not enough arguments for the format string");
    ++used_;
    return several_ ? args_.seq().items[used_ - 1] : args_;
  }
  Result<int64_t> number(size_t& pos, int64_t limit) {
    const std::string_view f = text_.text();
    if (pos < f.size() && f[pos] == '*') {
      ++pos;
      KL_ASSIGN(const Value v, next());
      KL_ASSIGN(const int64_t n, want_int(v, "formatting width"));
      if (n > limit || n < -limit) return too_wide();
      return n;
    }
    int64_t n = 0;
    for (; pos < f.size() && f[pos] >= '0' && f[pos] <= '9'; ++pos) {
      n = n * 10 + (f[pos] - '0');
      if (n > limit) return too_wide();
    }
    return n;
  }

  Status conversion(size_t& pos) {
    const std::string_view f = text_.text();
    const size_t start = pos++;
    std::optional<Value> named;
    if (pos < f.size() && f[pos] == '(') {
      const size_t close = f.find(')', pos);
      if (close == std::string_view::npos) return bad("incomplete format key");
      if (args_.is_undefined()) return undefined_error(args_);
      if (!args_.is(Kind::dict)) return bad("format requires a mapping");
      const Value* found = args_.dict().find(f.substr(pos + 1, close - pos - 1));
      if (!found) return bad("there is no key '" + std::string(f.substr(pos + 1, close - pos - 1)) + "'");
      named = *found;
      pos = close + 1;
    }
    Spec spec;
    bool left = false, zero = false;
    for (; pos < f.size() && std::string_view("-+ 0#").find(f[pos]) != std::string_view::npos; ++pos) {
      left |= f[pos] == '-';
      zero |= f[pos] == '0';
      spec.alternate |= f[pos] == '#';
      if (f[pos] == '+' || (f[pos] == ' ' && spec.sign != '+')) spec.sign = f[pos];
    }
    KL_ASSIGN(spec.width, number(pos, kMaxWidth));
    if (spec.width < 0) left = true, spec.width = -spec.width;
    if (pos < f.size() && f[pos] == '.') {
      KL_ASSIGN(spec.precision, number(++pos, kMaxPrecision));
      spec.precision = std::max<int64_t>(spec.precision, 0);
    }
    while (pos < f.size() && (f[pos] == 'h' || f[pos] == 'l' || f[pos] == 'L')) ++pos;
    if (pos >= f.size()) return bad("incomplete format");
    const char type = f[pos++];
    if (type == '%') {
      out_.append(text_, start, start + 1);
      return {};
    }
    spec.align = left ? '<' : '>';
    if (!named) {
      KL_ASSIGN(named, next());
    }
    return convert(spec, type, zero && !left, *named);
  }

  Status convert(Spec spec, char type, bool zero, const Value& value) {
    if (type == 's' || type == 'r' || type == 'c') {
      Value text;
      if (type == 'c' && value.is_integral()) {
        std::string one;
        if (value.as_integer() < 0 || value.as_integer() > 0x10FFFF) return bad("%c arg not in range(0x110000)");
        encode(static_cast<char32_t>(value.as_integer()), one);
        KL_ASSIGN(text, rt_.text(one));
      } else {
        if (type == 'c' && !(value.is_string() && value.str().length() == 1)) return bad("%c requires an int or a character");
        KL_ASSIGN(text, shown(rt_, value, type == 'r'));
      }
      if (text_.markup()) {
        KL_ASSIGN(text, escape_html(rt_, text));
      }
      put_str(spec, text.str(), out_);
      return {};
    }
    if (value.is_undefined()) return undefined_error(value);
    if (!value.is_number()) return bad(std::string("%") + type + ": a number is required, not " + value.type_name());
    if (zero) spec.fill = "0", spec.align = '=';
    spec.type = type;
    switch (type) {
      case 'd':
      case 'i':
      case 'u': {
        spec.type = 'd';
        if (value.is_integral()) return put_int(spec, value.as_integer(), out_);
        const double d = std::trunc(value.as_real());
        if (!(std::abs(d) < 9.2e18)) return bad("the number does not fit a 64-bit integer");
        return put_int(spec, static_cast<int64_t>(d), out_);
      }
      case 'x':
      case 'X':
      case 'o':
        if (!value.is_integral()) return bad(std::string("%") + type + ": an integer is required, not float");
        return put_int(spec, value.as_integer(), out_);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G': return put_float(spec, value.as_real(), out_);
      default: return bad(std::string("unsupported format character '") + type + "'");
    }
  }

  Runtime& rt_;
  const Str& text_;
  const Value& args_;
  bool several_;
  size_t used_ = 0;
  StrBuilder out_;
};

// ---- "{...}": field, !conversion, :spec ----

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
    if (pos >= s.size() || s[pos] < '0' || s[pos] > '9') return bad("format specifier missing precision");
    if (!number(spec.precision, kMaxPrecision)) return too_wide();
  }
  if (pos < s.size()) spec.type = s[pos++];
  if (pos < s.size()) return bad("invalid format specifier '" + std::string(s) + "'");
  return spec;
}

Status put_formatted(Runtime& rt, const Value& value, std::string_view text, StrBuilder& out) {
  if (text.empty()) return rt.str(value, out);
  KL_ASSIGN(Spec spec, parse_spec(text));
  const auto wrong = [&] { return bad(std::string("unknown format code '") + spec.type + "' for an object of type '" + value.type_name() + "'"); };
  if (value.is_string()) {
    if (spec.type != '\0' && spec.type != 's') return wrong();
    if (spec.align == '=' && spec.fill != "0") return bad("'=' alignment not allowed in string format specifier");
    if (spec.align == '=') spec.align = '<';
    if (spec.sign != '-' || spec.group || spec.alternate) return bad("sign, ',' and '#' are not allowed in a string format specifier");
    put_str(spec, value.str(), out);
    return {};
  }
  constexpr std::string_view kInt = "bdoxX", kFloat = "eEfFgG%";
  if (value.is(Kind::boolean) && spec.type == '\0') {
    spec.type = 'd';
  }
  if (value.is_integral() && (spec.type == '\0' || kInt.find(spec.type) != std::string_view::npos)) {
    if (spec.precision >= 0) return bad("precision not allowed in integer format specifier");
    return put_int(spec, value.as_integer(), out);
  }
  if (value.is_integral() && spec.type == 'c') {
    std::string one;
    if (value.as_integer() < 0 || value.as_integer() > 0x10FFFF) return bad("%c arg not in range(0x110000)");
    encode(static_cast<char32_t>(value.as_integer()), one);
    if (!spec.align) spec.align = '<';
    put_number(spec, false, "", one, out);
    return {};
  }
  if (value.is_number() && (spec.type == '\0' || kFloat.find(spec.type) != std::string_view::npos)) return put_float(spec, value.as_real(), out);
  if (value.is_number()) return wrong();
  return bad(std::string("unsupported format string for an object of type '") + value.type_name() + "'");
}

class Brace {
 public:
  Brace(Runtime& rt, const Value& format, const Args& args) : rt_(rt), text_(format.str()), args_(args), out_(rt.builder()) {}

  Result<Value> run() {
    KL_TRY(expand(0, text_.size(), out_, 2));
    return rt_.text(std::move(out_), text_.markup());
  }

 private:
  // The format in bytes [pos, end) of the text; `levels` of fields may still nest.
  Status expand(size_t pos, size_t end, StrBuilder& out, int levels) {
    if (levels == 0) return bad("max string recursion exceeded");
    const std::string_view f = text_.text();
    while (pos < end) {
      const size_t brace = std::min(f.find_first_of("{}", pos), end);
      out.append(text_, pos, brace);
      pos = brace;
      if (pos == end) break;
      KL_TRY(rt_.tick());
      if (pos + 1 < end && f[pos + 1] == f[pos]) {
        out.append(text_, pos, pos + 1);
        pos += 2;
        continue;
      }
      if (f[pos] == '}') return bad("single '}' encountered in format string");
      size_t close = pos + 1;
      for (int depth = 1; close < end; ++close) {
        if (f[close] == '{') ++depth;
        if (f[close] == '}' && --depth == 0) break;
      }
      if (close >= end) return bad("expected '}' before end of string");
      KL_TRY(field(pos + 1, close, out, levels));
      pos = close + 1;
    }
    return {};
  }

  Status field(size_t pos, size_t end, StrBuilder& out, int levels) {
    const std::string_view f = text_.text();
    size_t name_end = pos;
    for (int brackets = 0; name_end < end && (brackets > 0 || (f[name_end] != '!' && f[name_end] != ':')); ++name_end) {
      if (f[name_end] == '[') ++brackets;
      if (f[name_end] == ']') --brackets;
    }
    KL_ASSIGN(Value value, lookup(f.substr(pos, name_end - pos)));
    size_t spec = name_end;
    if (spec < end && f[spec] == '!') {
      const char conversion = spec + 1 < end ? f[spec + 1] : '\0';
      if (conversion != 's' && conversion != 'r') return bad("unknown conversion specifier");
      KL_ASSIGN(value, shown(rt_, value, conversion == 'r'));
      spec += 2;
      if (spec < end && f[spec] != ':') return bad("expected ':' after conversion specifier");
    }
    StrBuilder inner = rt_.builder();
    if (spec < end) KL_TRY(expand(spec + 1, end, inner, levels - 1));
    if (text_.markup() && value.is_string()) {
      KL_ASSIGN(value, escape_html(rt_, value));
    }
    return put_formatted(rt_, value, inner.text(), out);
  }

  Result<Value> lookup(std::string_view name) {
    const size_t first = std::min(name.find_first_of(".["), name.size());
    const std::string_view head = name.substr(0, first);
    Value value;
    const bool number = std::all_of(head.begin(), head.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (number) {
      size_t index = automatic_;
      if (head.empty()) {
        ++automatic_;
      } else if (std::from_chars(head.data(), head.data() + head.size(), index).ec != std::errc()) {
        return bad("too many decimal digits in format string");
      }
      manual_ |= !head.empty();
      if (manual_ && automatic_ > 0) return bad("cannot mix manual and automatic field numbering");
      if (index >= args_.plain.size()) return bad("replacement index out of range");
      value = args_.plain[index];
    } else {
      const auto found = std::find_if(args_.named.begin(), args_.named.end(), [&](const auto& n) { return n.first == head; });
      if (found == args_.named.end()) return bad("there is no argument '" + std::string(head) + "'");
      value = found->second;
    }
    for (size_t pos = first; pos < name.size();) {
      KL_TRY(rt_.tick());
      if (name[pos] == '.') {
        const size_t stop = std::min(name.find_first_of(".[", pos + 1), name.size());
        if (stop == pos + 1) return bad("empty attribute in format string");
        KL_ASSIGN(value, attribute(rt_, value, name.substr(pos + 1, stop - pos - 1)));
        pos = stop;
      } else if (name[pos] == '[') {
        const size_t stop = name.find(']', pos);
        if (stop == std::string_view::npos || stop == pos + 1) return bad("missing ']' in format string");
        const std::string_view key = name.substr(pos + 1, stop - pos - 1);
        int64_t index = 0;
        const auto parsed = std::from_chars(key.data(), key.data() + key.size(), index);
        const bool integer = parsed.ec == std::errc() && parsed.ptr == key.data() + key.size() && key[0] != '-';
        KL_ASSIGN(const Value k, integer ? Result<Value>(Value::integer(index)) : rt_.text(key));
        KL_ASSIGN(value, item(rt_, value, k));
        pos = stop + 1;
      } else {
        return bad("only '.' or '[' may follow ']' in a format field");
      }
    }
    return value;
  }

  Runtime& rt_;
  const Str& text_;
  const Args& args_;
  StrBuilder out_;
  size_t automatic_ = 0;
  bool manual_ = false;
};

}  // namespace

std::string float_digits(double value, char conversion, int precision) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  const auto style = conversion == 'f' ? std::chars_format::fixed : conversion == 'e' ? std::chars_format::scientific : std::chars_format::general;
  std::string out(static_cast<size_t>(precision) + 330, '\0');  // 309 digits before the point at most
  const auto [end, fault] = std::to_chars(out.data(), out.data() + out.size(), value, style, precision);
  out.resize(fault == std::errc() ? static_cast<size_t>(end - out.data()) : 0);
  return out;
}

Result<Value> percent_format(Runtime& rt, const Value& format, const Value& args) { return Percent(rt, format, args).run(); }
Result<Value> brace_format(Runtime& rt, const Value& format, const Args& args) { return Brace(rt, format, args).run(); }

}  // namespace kl::jinja
