// Filters on text.
#include <algorithm>

#include "text/jinja/filters.h"
#include "text/jinja/format.h"
#include "text/jinja/json_text.h"
#include "text/jinja/ops.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/unicode.h"

namespace kl::jinja {
namespace {

// str(value) without a safe mark.
Result<Value> plain(Runtime& rt, const Value& v) {
  if (!v.is_string() || !v.str().markup()) return rt.str(v);
  StrBuilder out = rt.builder();
  out.append(v.str());
  return rt.text(std::move(out));
}

Result<Value> upper_f(Runtime& rt, const Value& v, const Bound&) {
  KL_ASSIGN(const Value s, rt.str(v));
  return upper(rt, s);
}
Result<Value> lower_f(Runtime& rt, const Value& v, const Bound&) {
  KL_ASSIGN(const Value s, rt.str(v));
  return lower(rt, s);
}
Result<Value> capitalize_f(Runtime& rt, const Value& v, const Bound&) {
  KL_ASSIGN(const Value s, rt.str(v));
  return capitalize(rt, s);
}
Result<Value> string_f(Runtime& rt, const Value& v, const Bound&) { return rt.str(v); }
Result<Value> trim_f(Runtime& rt, const Value& v, const Bound& a) {
  KL_ASSIGN(const Value s, rt.str(v));
  return strip(rt, s, a[0], true, true);
}

// Words begin behind white space and - ( { [ <.
Result<Value> title_f(Runtime& rt, const Value& v, const Bound&) {
  KL_ASSIGN(const Value s, rt.str(v));
  bool start = true;
  return map_chars(rt, s, [&start](char32_t c, std::string& out) {
    const bool gap = c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_space(c);
    if (gap) {
      encode(c, out);
    } else {
      start ? append_upper(c, out) : append_lower(c, out);
    }
    start = gap;
  });
}

Result<Value> center_f(Runtime& rt, const Value& v, const Bound& a) {
  KL_ASSIGN(const Value s, rt.str(v));
  int64_t width = 80;
  if (a[0]) {
    KL_ASSIGN(width, want_int(*a[0], "center"));
  }
  return center(rt, s, width, Str(" ", true));
}

Result<Value> replace_f(Runtime& rt, const Value& v, const Bound& a) {
  KL_ASSIGN(const Value s, plain(rt, v));
  KL_ASSIGN(const Value old, plain(rt, *a[0]));
  KL_ASSIGN(const Value fresh, plain(rt, *a[1]));
  int64_t count = -1;
  if (a.given(2)) {
    KL_ASSIGN(count, want_int(*a[2], "replace"));
  }
  return replace(rt, s, old.str(), fresh.str(), count);
}

Result<Value> format_f(Runtime& rt, const Value& v, const Bound& a) {
  KL_ASSIGN(const Value s, rt.str(v));
  if (!a.all->plain.empty() && !a.all->named.empty()) {
    return error(Code::invalid_argument, "format: positional and keyword arguments cannot be mixed");
  }
  if (a.all->named.empty()) {
    KL_ASSIGN(const Value args, rt.seq(SeqKind::tuple, a.all->plain));
    return percent_format(rt, s, args);
  }
  Dict named;
  for (const auto& [name, value, trusted] : a.all->named) named.set(Value::string(name, trusted), value);
  KL_ASSIGN(const Value args, rt.dict(std::move(named)));
  return percent_format(rt, s, args);
}

Result<Value> indent_f(Runtime& rt, const Value& v, const Bound& a) {
  KL_ASSIGN(const Str* s, want_str(v, "indent"));
  StrBuilder width = rt.builder();
  if (a[0] && a[0]->is_string()) {
    width.append(a[0]->str());
  } else {
    int64_t spaces = 4;
    if (a[0]) {
      KL_ASSIGN(spaces, want_int(*a[0], "indent"));
    }
    if (spaces > 0) width.repeat(" ", static_cast<size_t>(spaces), true);
  }
  KL_ASSIGN(const Value indentation, rt.text(std::move(width), s->markup()));
  const bool first = a[1] && a[1]->truthy(), blank = a[2] && a[2]->truthy();
  KL_TRY(rt.tick_bytes(s->size() * 8));
  std::vector<Line> lines = split_lines(s->text());
  // As if a newline stood behind the text: text that ends with a break has one more, empty, line.
  if (lines.empty() || lines.back().full != lines.back().end) lines.push_back({s->size(), s->size(), s->size()});
  StrBuilder out = rt.builder();
  if (first) out.append(indentation.str());
  for (size_t i = 0; i < lines.size() && !out.overflow(); ++i) {
    if (i > 0) {
      out.literal("\n");
      if (blank || lines[i].end > lines[i].begin) out.append(indentation.str());
    }
    out.append(*s, lines[i].begin, lines[i].end);
  }
  return rt.text(std::move(out), s->markup());
}

Result<Value> truncate_f(Runtime& rt, const Value& v, const Bound& a) {
  int64_t length = 255, leeway = 5;
  if (a[0]) {
    KL_ASSIGN(length, want_int(*a[0], "truncate"));
  }
  const bool killwords = a[1] && a[1]->truthy();
  Value end = Value::string("...", true);
  if (a[2]) end = *a[2];
  KL_ASSIGN(const Str* tail, want_str(end, "truncate"));
  if (a.given(3)) {
    KL_ASSIGN(leeway, want_int(*a[3], "truncate"));
  }
  const auto tail_length = static_cast<int64_t>(tail->length());
  if (length < tail_length || leeway < 0) return error(Code::invalid_argument, "truncate: the length must hold at least the end mark");
  if (v.is_undefined()) return v;
  KL_ASSIGN(const Str* s, want_str(v, "truncate"));
  KL_TRY(rt.tick_bytes(s->size()));
  int64_t longest = 0;
  if (__builtin_add_overflow(length, leeway, &longest) || static_cast<int64_t>(s->length()) <= longest) return v;
  size_t cut = s->offset(static_cast<size_t>(length - tail_length));
  if (!killwords) {
    const size_t space = s->text().substr(0, cut).rfind(' ');
    if (space != std::string_view::npos) cut = space;
  }
  StrBuilder out = rt.builder();
  out.append(*s, 0, cut);
  out.append(*tail);
  return rt.text(std::move(out), s->markup());
}

Result<Value> wordcount_f(Runtime& rt, const Value& v, const Bound&) {
  KL_ASSIGN(const Value s, rt.str(v));
  const std::string_view text = s.str().text();
  KL_TRY(rt.tick_bytes(text.size() * 4));
  int64_t count = 0;
  bool inside = false;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = decode(text, pos);
    const bool word = c == '_' || is_alpha(c) || is_numeric(c);
    count += word && !inside ? 1 : 0;
    inside = word;
  }
  return Value::integer(count);
}

Result<Value> escape_f(Runtime& rt, const Value& v, const Bound&) { return escape_html(rt, v); }
Result<Value> forceescape_f(Runtime& rt, const Value& v, const Bound&) {
  KL_ASSIGN(const Value s, plain(rt, v));
  return escape_html(rt, s);
}
Result<Value> safe_f(Runtime& rt, const Value& v, const Bound&) {
  KL_ASSIGN(const Value s, rt.str(v));
  if (s.str().markup()) return s;
  StrBuilder out = rt.builder();
  out.append(s.str());
  return rt.text(std::move(out), true);
}

// Percent-encoding of UTF-8; `query`: a space is '+' and '/' is encoded too.
Status url_quote(Runtime& rt, const Value& v, bool query, StrBuilder& out) {
  KL_ASSIGN(const Value s, rt.str(v));
  s.str().each_run(0, s.str().size(), [&](std::string_view run, bool trusted) {
    std::string piece;
    for (const char c : run) {
      const bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      if (alnum || c == '_' || c == '.' || c == '-' || c == '~' || (c == '/' && !query)) {
        piece += c;
      } else if (query && c == ' ') {
        piece += '+';
      } else {
        piece += format("%%%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
      }
    }
    out.append(piece, trusted);
  });
  return {};
}

Result<Value> urlencode_f(Runtime& rt, const Value& v, const Bound&) {
  StrBuilder out = rt.builder();
  if (!v.is(Kind::sequence) && !v.is(Kind::dict) && !v.is_undefined()) {
    KL_TRY(url_quote(rt, v, false, out));
    return rt.text(std::move(out));
  }
  const auto put = [&](const Value& key, const Value& value) -> Status {
    if (out.size() > 0) out.literal("&");
    KL_TRY(url_quote(rt, key, true, out));
    out.literal("=");
    return url_quote(rt, value, true, out);
  };
  if (v.is(Kind::dict)) {
    for (const auto& [key, value] : v.dict().entries()) KL_TRY(put(key, value));
    return rt.text(std::move(out));
  }
  KL_ASSIGN(const SeqRef pairs, rt.items(v));
  for (const Value& pair : pairs->items) {
    KL_ASSIGN(const SeqRef two, rt.items(pair));
    if (two->items.size() != 2) return error(Code::invalid_argument, "urlencode: expected pairs");
    KL_TRY(put(two->items[0], two->items[1]));
  }
  return rt.text(std::move(out));
}

Result<Value> xmlattr_f(Runtime& rt, const Value& v, const Bound& a) {
  if (!v.is(Kind::dict)) return error(Code::invalid_argument, "xmlattr: expected a dict, got '%s'", v.type_name());
  StrBuilder out = rt.builder();
  const bool space = !a[0] || a[0]->truthy();
  for (const auto& [key, value] : v.dict().entries()) {
    if (value.is_none() || value.is_undefined()) continue;
    KL_ASSIGN(const Str* name, want_str(key, "xmlattr"));
    if (name->text().find_first_of(" \t\n\r\f\v/>=") != std::string_view::npos)
      return error(Code::invalid_argument, "xmlattr: invalid attribute name");
    if (out.size() > 0 || space) out.literal(" ");
    KL_ASSIGN(const Value safe_key, escape_html(rt, key));
    KL_ASSIGN(const Value safe_value, escape_html(rt, value));
    out.append(safe_key.str());
    out.literal("=\"");
    out.append(safe_value.str());
    out.literal("\"");
  }
  return rt.text(std::move(out));
}

Result<Value> tojson_f(Runtime& rt, const Value& v, const Bound& a) {
  JsonStyle style;
  style.ascii = a[0] && a[0]->truthy();
  if (a.given(1)) {
    if (a[1]->is_string()) {
      style.indent = Str(std::string(a[1]->str().text()), a[1]->str().trusted());
    } else {
      KL_ASSIGN(const int64_t spaces, want_int(*a[1], "tojson indent"));
      if (spaces > 1000) return error(Code::unsupported, "tojson: an indent of more than 1000 is not supported");
      style.indent = Str(std::string(spaces > 0 ? static_cast<size_t>(spaces) : 0, ' '), true);
    }
    style.item_separator = Str(",", true);
  }
  if (a.given(2)) {
    KL_ASSIGN(const SeqRef two, rt.items(*a[2]));
    if (two->items.size() != 2) return error(Code::invalid_argument, "tojson: separators are two strings");
    KL_ASSIGN(const Str* item, want_str(two->items[0], "tojson separators"));
    KL_ASSIGN(const Str* key, want_str(two->items[1], "tojson separators"));
    style.item_separator = Str(std::string(item->text()), item->trusted());
    style.key_separator = Str(std::string(key->text()), key->trusted());
  }
  style.sort_keys = a[3] && a[3]->truthy();
  StrBuilder out = rt.builder();
  KL_TRY(to_json(rt, v, style, out));
  return rt.text(std::move(out));
}

constexpr FilterEntry kFilters[] = {
    {"capitalize", {}, capitalize_f},
    {"center", {"?width"}, center_f},
    {"e", {}, escape_f},
    {"escape", {}, escape_f},
    {"forceescape", {}, forceescape_f},
    {"format", {"*"}, format_f},
    {"indent", {"?width", "?first", "?blank"}, indent_f},
    {"lower", {}, lower_f},
    {"replace", {"old", "new", "?count"}, replace_f},
    {"safe", {}, safe_f},
    {"string", {}, string_f},
    {"title", {}, title_f},
    {"tojson", {"?ensure_ascii", "?indent", "?separators", "?sort_keys"}, tojson_f},
    {"trim", {"?chars"}, trim_f},
    {"truncate", {"?length", "?killwords", "?end", "?leeway"}, truncate_f},
    {"upper", {}, upper_f},
    {"urlencode", {}, urlencode_f},
    {"wordcount", {}, wordcount_f},
    {"xmlattr", {"?autospace"}, xmlattr_f},
    // In Jinja2, but not here: no template needs them, and each brings a library or a source of randomness with it.
    {"pprint", {"*"}, nullptr},
    {"random", {"*"}, nullptr},
    {"striptags", {"*"}, nullptr},
    {"urlize", {"*"}, nullptr},
    {"wordwrap", {"*"}, nullptr},
};

}  // namespace

std::span<const FilterEntry> text_filters() { return kFilters; }

}  // namespace kl::jinja
