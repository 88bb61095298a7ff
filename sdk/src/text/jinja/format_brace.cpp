// "{:d}".format(x): field, !conversion, :spec.
#include <algorithm>
#include <charconv>

#include "text/jinja/format.h"
#include "text/jinja/format_spec.h"
#include "text/jinja/ops.h"

namespace kl::jinja {
namespace {

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
    if (levels == 0) return bad_format("max string recursion exceeded");
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
      if (f[pos] == '}') return bad_format("single '}' encountered in format string");
      size_t close = pos + 1;
      for (int depth = 1; close < end; ++close) {
        if (f[close] == '{') ++depth;
        if (f[close] == '}' && --depth == 0) break;
      }
      if (close >= end) return bad_format("expected '}' before end of string");
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
      if (conversion != 's' && conversion != 'r') return bad_format("unknown conversion specifier");
      KL_ASSIGN(value, shown(rt_, value, conversion == 'r'));
      spec += 2;
      if (spec < end && f[spec] != ':') return bad_format("expected ':' after conversion specifier");
    }
    StrBuilder inner = rt_.builder();
    if (spec < end) KL_TRY(expand(spec + 1, end, inner, levels - 1));
    const Str how = inner.take();
    if (text_.markup() && value.is_string()) {
      KL_ASSIGN(value, escape_html(rt_, value));
    }
    StrBuilder shown_value = rt_.builder();
    KL_TRY(put_formatted(rt_, value, how.text(), shown_value));
    append_field(std::move(shown_value), text_.trusted(pos, end) && how.trusted(), out);
    return {};
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
        return bad_format("too many decimal digits in format string");
      }
      manual_ |= !head.empty();
      if (manual_ && automatic_ > 0) return bad_format("cannot mix manual and automatic field numbering");
      if (index >= args_.plain.size()) return bad_format("replacement index out of range");
      value = args_.plain[index];
    } else {
      const auto found = std::find_if(args_.named.begin(), args_.named.end(), [&](const auto& n) { return n.first == head; });
      if (found == args_.named.end()) return bad_format("there is no argument '" + std::string(head) + "'");
      value = found->second;
    }
    for (size_t pos = first; pos < name.size();) {
      KL_TRY(rt_.tick());
      if (name[pos] == '.') {
        const size_t stop = std::min(name.find_first_of(".[", pos + 1), name.size());
        if (stop == pos + 1) return bad_format("empty attribute in format string");
        KL_ASSIGN(value, attribute(rt_, value, name.substr(pos + 1, stop - pos - 1)));
        pos = stop;
      } else if (name[pos] == '[') {
        const size_t stop = name.find(']', pos);
        if (stop == std::string_view::npos || stop == pos + 1) return bad_format("missing ']' in format string");
        const std::string_view key = name.substr(pos + 1, stop - pos - 1);
        int64_t index = 0;
        const auto parsed = std::from_chars(key.data(), key.data() + key.size(), index);
        const bool integer = parsed.ec == std::errc() && parsed.ptr == key.data() + key.size() && key[0] != '-';
        KL_ASSIGN(const Value k, integer ? Result<Value>(Value::integer(index)) : rt_.text(key));
        KL_ASSIGN(value, item(rt_, value, k));
        pos = stop + 1;
      } else {
        return bad_format("only '.' or '[' may follow ']' in a format field");
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

Result<Value> brace_format(Runtime& rt, const Value& format, const Args& args) { return Brace(rt, format, args).run(); }

}  // namespace kl::jinja
