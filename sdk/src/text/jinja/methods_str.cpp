// The methods of str.
#include "text/jinja/methods_str.h"

#include <algorithm>

#include "text/jinja/format.h"
#include "text/jinja/ops.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/unicode.h"

namespace kl::jinja {
namespace {

Result<Value> capitalize_m(Runtime& rt, const Value& s, const Bound&) { return capitalize(rt, s); }
Result<Value> upper_m(Runtime& rt, const Value& s, const Bound&) { return upper(rt, s); }
Result<Value> lower_m(Runtime& rt, const Value& s, const Bound&) { return lower(rt, s); }
Result<Value> strip_m(Runtime& rt, const Value& s, const Bound& a) { return strip(rt, s, a[0], true, true); }
Result<Value> lstrip_m(Runtime& rt, const Value& s, const Bound& a) { return strip(rt, s, a[0], true, false); }
Result<Value> rstrip_m(Runtime& rt, const Value& s, const Bound& a) { return strip(rt, s, a[0], false, true); }
Result<Value> format_m(Runtime& rt, const Value& s, const Bound& a) { return brace_format(rt, s, *a.all); }

Result<Value> format_map_m(Runtime& rt, const Value& s, const Bound& a) {
  if (!a[0]->is(Kind::dict)) return error(Code::invalid_argument, "format_map() takes a dict");
  Args args;
  for (const auto& [key, value] : a[0]->dict().entries()) {
    if (key.is_string()) args.named.emplace_back(std::string(key.str().text()), value, key.str().trusted());
  }
  KL_TRY(rt.tick(args.named.size()));
  return brace_format(rt, s, args);
}

Result<Value> swapcase_m(Runtime& rt, const Value& s, const Bound&) {
  return map_chars(rt, s, [](char32_t c, std::string& out) { is_upper(c) ? append_lower(c, out) : append_upper(c, out); });
}

Result<Value> title_m(Runtime& rt, const Value& s, const Bound&) {
  bool inside = false;
  return map_chars(rt, s, [&inside](char32_t c, std::string& out) {
    inside ? append_lower(c, out) : append_title(c, out);
    inside = is_cased(c);
  });
}

Result<Value> replace_m(Runtime& rt, const Value& s, const Bound& a) {
  KL_ASSIGN(const Str* old, want_str(*a[0], "replace"));
  Value fresh = *a[1];
  KL_TRY(want_str(fresh, "replace").status());
  if (s.str().markup()) {
    KL_ASSIGN(fresh, escape_html(rt, fresh));
  }
  int64_t count = -1;
  if (a[2]) {
    KL_ASSIGN(count, want_int(*a[2], "replace"));
  }
  return replace(rt, s, *old, fresh.str(), count);
}

Result<Value> join_m(Runtime& rt, const Value& s, const Bound& a) {
  KL_ASSIGN(const SeqRef items, rt.items(*a[0]));
  return join(rt, s, items->items);
}

// ---- searching; positions count characters ----

struct Window {
  size_t begin = 0, end = 0;  // bytes
  bool valid = true;          // false: start lies behind the end
};
Result<Window> window(const Str& s, const Value* start, const Value* stop) {
  const auto length = static_cast<int64_t>(s.length());
  const auto at = [&](const Value* v, int64_t absent) -> Result<int64_t> {
    if (!v || v->is_none()) return absent;
    KL_ASSIGN(int64_t i, want_int(*v, "position"));
    return i < 0 ? std::max<int64_t>(i + length, 0) : i;
  };
  KL_ASSIGN(const int64_t from, at(start, 0));
  KL_ASSIGN(const int64_t to, at(stop, length));
  Window w;
  if (from > length || from > to) {
    w.valid = false;
    return w;
  }
  w.begin = s.offset(static_cast<size_t>(from));
  w.end = s.offset(static_cast<size_t>(std::min(to, length)));
  return w;
}

// The character position of the first or last occurrence, -1: none.
Result<int64_t> position(Runtime& rt, const Value& self, const Bound& a, bool last) {
  const Str& s = self.str();
  KL_ASSIGN(const Str* needle, want_str(*a[0], "find"));
  KL_ASSIGN(const Window w, window(s, a[1], a[2]));
  KL_TRY(rt.tick_bytes(s.size() + needle->size()));
  if (!w.valid) return -1;
  const std::string_view text = s.text().substr(w.begin, w.end - w.begin);
  size_t at = last ? text.size() : 0;
  if (!needle->empty()) at = last ? Finder(needle->text()).last(text) : Finder(needle->text()).first(text);
  if (at == std::string_view::npos) return -1;
  return static_cast<int64_t>(s.ascii() ? w.begin + at : count_chars(s.text().substr(0, w.begin + at)));
}
Result<Value> found(Result<int64_t> at, bool required) {
  if (!at.ok()) return at.status();
  if (required && *at < 0) return error(Code::invalid_argument, "substring not found");
  return Value::integer(*at);
}
Result<Value> find_m(Runtime& rt, const Value& s, const Bound& a) { return found(position(rt, s, a, false), false); }
Result<Value> rfind_m(Runtime& rt, const Value& s, const Bound& a) { return found(position(rt, s, a, true), false); }
Result<Value> index_m(Runtime& rt, const Value& s, const Bound& a) { return found(position(rt, s, a, false), true); }
Result<Value> rindex_m(Runtime& rt, const Value& s, const Bound& a) { return found(position(rt, s, a, true), true); }

Result<Value> count_m(Runtime& rt, const Value& self, const Bound& a) {
  const Str& s = self.str();
  KL_ASSIGN(const Str* needle, want_str(*a[0], "count"));
  KL_ASSIGN(const Window w, window(s, a[1], a[2]));
  KL_TRY(rt.tick_bytes(s.size() + needle->size()));
  if (!w.valid) return Value::integer(0);
  const std::string_view text = s.text().substr(w.begin, w.end - w.begin);
  if (needle->empty()) return Value::integer(static_cast<int64_t>(count_chars(text)) + 1);
  int64_t count = 0;
  Finder(needle->text()).each(text, false, [&](size_t) { return ++count, true; });
  return Value::integer(count);
}

Result<Value> affix(Runtime& rt, const Value& self, const Bound& a, bool front) {
  const Str& s = self.str();
  KL_ASSIGN(const Window w, window(s, a[1], a[2]));
  KL_TRY(rt.tick_bytes(s.ascii() ? 0 : s.size()));
  const std::string_view text = w.valid ? s.text().substr(w.begin, w.end - w.begin) : std::string_view();
  std::vector<Value> any = {*a[0]};
  if (a[0]->is(Kind::sequence) && a[0]->seq().kind == SeqKind::tuple) any = a[0]->seq().items;
  bool hit = false;
  for (const Value& each : any) {
    KL_ASSIGN(const Str* affix, want_str(each, front ? "startswith" : "endswith"));
    KL_TRY(rt.tick_bytes(affix->size() + 64));
    hit |= w.valid && (front ? text.starts_with(affix->text()) : text.ends_with(affix->text()));
  }
  return Value::boolean(hit);
}
Result<Value> startswith_m(Runtime& rt, const Value& s, const Bound& a) { return affix(rt, s, a, true); }
Result<Value> endswith_m(Runtime& rt, const Value& s, const Bound& a) { return affix(rt, s, a, false); }

Result<Value> removeprefix_m(Runtime& rt, const Value& s, const Bound& a) {
  KL_ASSIGN(const Str* prefix, want_str(*a[0], "removeprefix"));
  return rt.part(s, s.str().text().starts_with(prefix->text()) ? prefix->size() : 0, s.str().size());
}
Result<Value> removesuffix_m(Runtime& rt, const Value& s, const Bound& a) {
  KL_ASSIGN(const Str* suffix, want_str(*a[0], "removesuffix"));
  return rt.part(s, 0, s.str().size() - (s.str().text().ends_with(suffix->text()) ? suffix->size() : 0));
}

// ---- splitting ----

using Cuts = std::vector<std::pair<size_t, size_t>>;  // byte ranges of the pieces

Result<Value> pieces(Runtime& rt, const Value& self, const Cuts& cuts) {
  KL_TRY(rt.room(cuts.size(), sizeof(Str) + sizeof(Value)));
  KL_TRY(rt.tick(cuts.size()));
  std::vector<Value> out;
  out.reserve(cuts.size());
  for (const auto& [begin, end] : cuts) {
    KL_ASSIGN(Value piece, rt.part(self, begin, end));
    out.push_back(std::move(piece));
  }
  return rt.list(std::move(out));
}

// The words of a text; with a limit the rest of the text is one more piece, at its end or (from_right) at its start.
Cuts words(std::string_view text, uint64_t limit, bool from_right) {
  Cuts cuts;
  for (size_t pos = 0; pos < text.size();) {
    size_t next = pos;
    if (is_space(decode(text, next))) {
      pos = next;
      continue;
    }
    const size_t begin = pos;
    while (pos < text.size()) {
      next = pos;
      if (is_space(decode(text, next))) break;
      pos = next;
    }
    cuts.emplace_back(begin, pos);
  }
  if (cuts.size() <= limit) return cuts;
  if (!from_right) {
    cuts.resize(limit + 1);
    cuts.back().second = text.size();
    return cuts;
  }
  const size_t merged = cuts.size() - limit - 1;  // pieces before this one join it
  cuts.erase(cuts.begin(), cuts.begin() + static_cast<std::ptrdiff_t>(merged));
  cuts.front().first = 0;
  return cuts;
}

Result<Value> split(Runtime& rt, const Value& self, const Bound& a, bool from_right) {
  const Str& s = self.str();
  uint64_t limit = UINT64_MAX;
  if (a[1]) {
    KL_ASSIGN(const int64_t n, want_int(*a[1], "split"));
    if (n >= 0) limit = static_cast<uint64_t>(n);
  }
  KL_TRY(rt.tick_bytes(s.size()));
  Cuts cuts;
  if (!a.given(0)) {
    KL_TRY(rt.room(s.size() / 2, sizeof(size_t) * 2));
    cuts = words(s.text(), limit == UINT64_MAX ? SIZE_MAX - 1 : limit, from_right);
    return pieces(rt, self, cuts);
  }
  KL_ASSIGN(const Str* separator, want_str(*a[0], "split"));
  if (separator->empty()) return error(Code::invalid_argument, "empty separator");
  std::vector<size_t> places;
  KL_TRY(rt.room(s.size() / separator->size(), sizeof(size_t) * 4));
  const Finder finder(separator->text());
  if (!from_right) {
    finder.each(s.text(), false, [&](size_t at) {
      if (places.size() < limit) places.push_back(at);
      return places.size() < limit;
    });
  } else {
    // From the right, occurrences that overlap are taken last first.
    std::vector<size_t> all;
    finder.each(s.text(), true, [&](size_t at) { return all.push_back(at), true; });
    size_t bound = s.size();
    for (auto at = all.rbegin(); at != all.rend() && places.size() < limit; ++at) {
      if (*at + separator->size() > bound) continue;
      places.push_back(*at);
      bound = *at;
    }
    std::reverse(places.begin(), places.end());
  }
  size_t begin = 0;
  for (const size_t at : places) {
    cuts.emplace_back(begin, at);
    begin = at + separator->size();
  }
  cuts.emplace_back(begin, s.size());
  return pieces(rt, self, cuts);
}
Result<Value> split_m(Runtime& rt, const Value& s, const Bound& a) { return split(rt, s, a, false); }
Result<Value> rsplit_m(Runtime& rt, const Value& s, const Bound& a) { return split(rt, s, a, true); }

Result<Value> splitlines_m(Runtime& rt, const Value& s, const Bound& a) {
  KL_TRY(rt.tick_bytes(s.str().size() * 8));
  Cuts cuts;
  for (const Line& line : split_lines(s.str().text())) cuts.emplace_back(line.begin, a[0] && a[0]->truthy() ? line.full : line.end);
  return pieces(rt, s, cuts);
}

Result<Value> partition(Runtime& rt, const Value& self, const Bound& a, bool last) {
  const Str& s = self.str();
  KL_ASSIGN(const Str* separator, want_str(*a[0], "partition"));
  if (separator->empty()) return error(Code::invalid_argument, "empty separator");
  KL_TRY(rt.tick_bytes(s.size() + separator->size()));
  const Finder finder(separator->text());
  const size_t at = last ? finder.last(s.text()) : finder.first(s.text());
  Cuts cuts = {{0, at}, {at, at + separator->size()}, {at + separator->size(), s.size()}};
  if (at == std::string_view::npos) cuts = last ? Cuts{{0, 0}, {0, 0}, {0, s.size()}} : Cuts{{0, s.size()}, {0, 0}, {0, 0}};
  std::vector<Value> out;
  for (const auto& [begin, end] : cuts) {
    KL_ASSIGN(Value piece, rt.part(self, begin, end));
    out.push_back(std::move(piece));
  }
  return rt.seq(SeqKind::tuple, std::move(out));
}
Result<Value> partition_m(Runtime& rt, const Value& s, const Bound& a) { return partition(rt, s, a, false); }
Result<Value> rpartition_m(Runtime& rt, const Value& s, const Bound& a) { return partition(rt, s, a, true); }

// ---- padding ----

Result<Value> fill_of(const Value* v) {
  if (!v) return Value::string(" ", true);
  KL_ASSIGN(const Str* text, want_str(*v, "fill character"));
  if (text->length() != 1) return error(Code::invalid_argument, "the fill character must be exactly one character long");
  return *v;
}
Result<Value> center_m(Runtime& rt, const Value& s, const Bound& a) {
  KL_ASSIGN(const int64_t width, want_int(*a[0], "center"));
  KL_ASSIGN(const Value fill, fill_of(a[1]));
  return center(rt, s, width, fill.str());
}
Result<Value> justify(Runtime& rt, const Value& s, const Bound& a, bool left) {
  KL_ASSIGN(const int64_t width, want_int(*a[0], "width"));
  KL_ASSIGN(const Value fill, fill_of(a[1]));
  const auto length = static_cast<int64_t>(s.str().length());
  StrBuilder out = rt.builder();
  if (left) out.append(s.str());
  if (width > length) out.repeat(fill.str(), static_cast<size_t>(width - length));
  if (!left) out.append(s.str());
  return rt.text(std::move(out), s.str().markup());
}
Result<Value> ljust_m(Runtime& rt, const Value& s, const Bound& a) { return justify(rt, s, a, true); }
Result<Value> rjust_m(Runtime& rt, const Value& s, const Bound& a) { return justify(rt, s, a, false); }

Result<Value> zfill_m(Runtime& rt, const Value& s, const Bound& a) {
  KL_ASSIGN(const int64_t width, want_int(*a[0], "zfill"));
  const auto length = static_cast<int64_t>(s.str().length());
  const size_t sign = !s.str().empty() && (s.str().text()[0] == '-' || s.str().text()[0] == '+') ? 1 : 0;
  StrBuilder out = rt.builder();
  out.append(s.str(), 0, sign);
  if (width > length) out.repeat("0", static_cast<size_t>(width - length), true);
  out.append(s.str(), sign, s.str().size());
  return rt.text(std::move(out), s.str().markup());
}

Result<Value> expandtabs_m(Runtime& rt, const Value& s, const Bound& a) {
  int64_t size = 8, column = 0;
  if (a[0]) {
    KL_ASSIGN(size, want_int(*a[0], "expandtabs"));
  }
  if (size > 10'000) return error(Code::unsupported, "expandtabs: more than 10,000 columns are not supported");
  return map_chars(rt, s, [&](char32_t c, std::string& out) {
    if (c == '\t') {
      if (size > 0) out.append(static_cast<size_t>(size - column % size), ' '), column += size - column % size;
    } else {
      encode(c, out);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
  });
}

// ---- predicates ----

template <class Test>
Result<Value> all_chars(Runtime& rt, const Value& v, bool empty, Test test) {
  const std::string_view text = v.str().text();
  KL_TRY(rt.tick_bytes(text.size() * 4));
  if (text.empty()) return Value::boolean(empty);
  for (size_t pos = 0; pos < text.size();) {
    if (!test(decode(text, pos))) return Value::boolean(false);
  }
  return Value::boolean(true);
}
Result<Value> isalnum_m(Runtime& rt, const Value& s, const Bound&) {
  return all_chars(rt, s, false, [](char32_t c) { return is_alpha(c) || is_numeric(c); });
}
Result<Value> isalpha_m(Runtime& rt, const Value& s, const Bound&) { return all_chars(rt, s, false, is_alpha); }
Result<Value> isascii_m(Runtime& rt, const Value& s, const Bound&) {
  return all_chars(rt, s, true, [](char32_t c) { return c < 0x80; });
}
Result<Value> isdecimal_m(Runtime& rt, const Value& s, const Bound&) { return all_chars(rt, s, false, is_decimal); }
Result<Value> isdigit_m(Runtime& rt, const Value& s, const Bound&) {
  return all_chars(rt, s, false, [](char32_t c) {
    return is_decimal(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 || (c >= 0x2070 && c <= 0x2089 && is_numeric(c));
  });
}
Result<Value> isnumeric_m(Runtime& rt, const Value& s, const Bound&) { return all_chars(rt, s, false, is_numeric); }
Result<Value> isspace_m(Runtime& rt, const Value& s, const Bound&) { return all_chars(rt, s, false, is_space); }
Result<Value> isprintable_m(Runtime& rt, const Value& s, const Bound&) { return all_chars(rt, s, true, is_printable); }
Result<Value> isidentifier_m(Runtime& rt, const Value& s, const Bound&) {
  bool first = true;
  return all_chars(rt, s, false, [&first](char32_t c) {
    const bool fits = is_name(c) && !(first && is_numeric(c));
    first = false;
    return fits;
  });
}
Result<Value> cased(Runtime& rt, const Value& v, bool (*wanted)(char32_t)) {
  bool any = false;
  KL_ASSIGN(const Value all, all_chars(rt, v, false, [&](char32_t c) {
              if (!is_cased(c)) return true;
              any = true;
              return wanted(c);
            }));
  return Value::boolean(any && all.as_bool());
}
Result<Value> islower_m(Runtime& rt, const Value& s, const Bound&) { return cased(rt, s, is_lower); }
Result<Value> isupper_m(Runtime& rt, const Value& s, const Bound&) { return cased(rt, s, is_upper); }
Result<Value> istitle_m(Runtime& rt, const Value& s, const Bound&) {
  bool inside = false, any = false;
  KL_ASSIGN(const Value all, all_chars(rt, s, false, [&](char32_t c) {
              const bool fits = !is_cased(c) || (inside ? is_lower(c) : !is_lower(c));
              inside = is_cased(c);
              any |= inside;
              return fits;
            }));
  return Value::boolean(any && all.as_bool());
}

constexpr MethodEntry kMethods[] = {
    {"capitalize", {}, capitalize_m},
    {"casefold", {}, lower_m},
    {"center", {"width", "?fillchar"}, center_m},
    {"count", {"sub", "?start", "?end"}, count_m},
    {"endswith", {"suffix", "?start", "?end"}, endswith_m},
    {"expandtabs", {"?tabsize"}, expandtabs_m},
    {"find", {"sub", "?start", "?end"}, find_m},
    {"format", {"*"}, format_m},
    {"format_map", {"mapping"}, format_map_m},
    {"index", {"sub", "?start", "?end"}, index_m},
    {"isalnum", {}, isalnum_m},
    {"isalpha", {}, isalpha_m},
    {"isascii", {}, isascii_m},
    {"isdecimal", {}, isdecimal_m},
    {"isdigit", {}, isdigit_m},
    {"isidentifier", {}, isidentifier_m},
    {"islower", {}, islower_m},
    {"isnumeric", {}, isnumeric_m},
    {"isprintable", {}, isprintable_m},
    {"isspace", {}, isspace_m},
    {"istitle", {}, istitle_m},
    {"isupper", {}, isupper_m},
    {"join", {"iterable"}, join_m},
    {"ljust", {"width", "?fillchar"}, ljust_m},
    {"lower", {}, lower_m},
    {"lstrip", {"?chars"}, lstrip_m},
    {"partition", {"sep"}, partition_m},
    {"removeprefix", {"prefix"}, removeprefix_m},
    {"removesuffix", {"suffix"}, removesuffix_m},
    {"replace", {"old", "new", "?count"}, replace_m},
    {"rfind", {"sub", "?start", "?end"}, rfind_m},
    {"rindex", {"sub", "?start", "?end"}, rindex_m},
    {"rjust", {"width", "?fillchar"}, rjust_m},
    {"rpartition", {"sep"}, rpartition_m},
    {"rsplit", {"?sep", "?maxsplit"}, rsplit_m},
    {"rstrip", {"?chars"}, rstrip_m},
    {"split", {"?sep", "?maxsplit"}, split_m},
    {"splitlines", {"?keepends"}, splitlines_m},
    {"startswith", {"prefix", "?start", "?end"}, startswith_m},
    {"strip", {"?chars"}, strip_m},
    {"swapcase", {}, swapcase_m},
    {"title", {}, title_m},
    {"upper", {}, upper_m},
    {"zfill", {"width"}, zfill_m},
};

}  // namespace

std::span<const MethodEntry> str_methods() { return kMethods; }

}  // namespace kl::jinja
