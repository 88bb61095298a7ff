// "%d" % x: flags, width, precision, type.
#include <cmath>

#include "text/jinja/format.h"
#include "text/jinja/format_spec.h"
#include "text/jinja/ops.h"

namespace kl::jinja {
namespace {

class Percent {
 public:
  Percent(Runtime& rt, const Value& format, const Value& args)
      : rt_(rt),
        text_(format.str()),
        args_(args),
        several_(args.is(Kind::sequence) && args.seq().kind == SeqKind::tuple),
        out_(rt.builder()) {}

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
    if (used_ < count() && !mapping) return bad_format("not all arguments were converted");
    return rt_.text(std::move(out_), text_.markup());
  }

 private:
  size_t count() const { return several_ ? args_.seq().items.size() : 1; }
  Result<Value> next() {
    if (used_ >= count()) return bad_format("not enough arguments for the format string");
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
      if (close == std::string_view::npos) return bad_format("incomplete format key");
      if (args_.is_undefined()) return undefined_error(args_);
      if (!args_.is(Kind::dict)) return bad_format("format requires a mapping");
      const Value* found = args_.dict().find(f.substr(pos + 1, close - pos - 1));
      if (!found) return bad_format("there is no key '" + std::string(f.substr(pos + 1, close - pos - 1)) + "'");
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
    if (pos >= f.size()) return bad_format("incomplete format");
    const char type = f[pos++];
    if (type == '%') {
      out_.append(text_, start, start + 1);
      return {};
    }
    spec.align = left ? '<' : '>';
    if (!named) {
      KL_ASSIGN(named, next());
    }
    StrBuilder field = rt_.builder();
    KL_TRY(convert(spec, type, zero && !left, *named, field));
    append_field(std::move(field), text_.trusted(start, pos), out_);
    return {};
  }

  Status convert(Spec spec, char type, bool zero, const Value& value, StrBuilder& out) {
    if (type == 's' || type == 'r' || type == 'c') {
      Value text;
      if (type == 'c' && value.is_integral()) {
        KL_ASSIGN(const std::string one, character(value.as_integer()));
        KL_ASSIGN(text, rt_.text(one));
      } else {
        if (type == 'c' && !(value.is_string() && value.str().length() == 1)) return bad_format("%c requires an int or a character");
        KL_ASSIGN(text, shown(rt_, value, type == 'r'));
      }
      if (text_.markup()) {
        KL_ASSIGN(text, escape_html(rt_, text));
      }
      put_str(spec, text.str(), out);
      return {};
    }
    if (value.is_undefined()) return undefined_error(value);
    if (!value.is_number()) return bad_format(std::string("%") + type + ": a number is required, not " + value.type_name());
    if (zero) spec.fill = "0", spec.align = '=';
    spec.type = type;
    switch (type) {
      case 'd':
      case 'i':
      case 'u': {
        spec.type = 'd';
        if (value.is_integral()) return put_int(spec, value.as_integer(), out);
        const double d = std::trunc(value.as_real());
        if (!(std::abs(d) < 9.2e18)) return bad_format("the number does not fit a 64-bit integer");
        return put_int(spec, static_cast<int64_t>(d), out);
      }
      case 'x':
      case 'X':
      case 'o':
        if (!value.is_integral()) return bad_format(std::string("%") + type + ": an integer is required, not float");
        return put_int(spec, value.as_integer(), out);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        return put_float(spec, value.as_real(), out);
      default:
        return bad_format(std::string("unsupported format character '") + type + "'");
    }
  }

  Runtime& rt_;
  const Str& text_;
  const Value& args_;
  bool several_;
  size_t used_ = 0;
  StrBuilder out_;
};

}  // namespace

Result<Value> percent_format(Runtime& rt, const Value& format, const Value& args) { return Percent(rt, format, args).run(); }

}  // namespace kl::jinja
