// Filters on sequences and mappings.
#include <algorithm>
#include <charconv>
#include <numeric>

#include "text/jinja/filters.h"
#include "text/jinja/ops.h"
#include "text/jinja/text_ops.h"

namespace kl::jinja {
namespace {

// A path such as "user.name" or "0.x", as make_attrgetter takes it: None keeps the item itself.
class Path {
 public:
  Status parse(const Value& attribute) {
    if (attribute.is_none()) return {};
    if (!attribute.is_string()) {
      parts_.push_back(attribute);
      return {};
    }
    return parse(attribute.str().text());
  }
  Status parse(std::string_view text) {
    for (size_t pos = 0; pos <= text.size();) {
      const size_t dot = std::min(text.find('.', pos), text.size());
      const std::string_view part = text.substr(pos, dot - pos);
      int64_t index = 0;
      const auto [end, fault] = std::from_chars(part.data(), part.data() + part.size(), index);
      const bool number = fault == std::errc() && end == part.data() + part.size() && part[0] != '-';
      parts_.push_back(number ? Value::integer(index) : Value::string(std::string(part), true));
      pos = dot + 1;
    }
    if (parts_.size() > 64) return error(Code::unsupported, "an attribute path of more than 64 parts");
    return {};
  }
  Result<Value> get(Runtime& rt, const Value& from, const Value* fallback = nullptr) const {
    Value value = from;
    for (const Value& part : parts_) {
      KL_TRY(rt.tick());
      KL_ASSIGN(value, item(rt, value, part));
      if (fallback && value.is_undefined()) value = *fallback;
    }
    return value;
  }

 private:
  std::vector<Value> parts_;
};

Result<Value> folded(Runtime& rt, Value key, bool case_sensitive) {
  if (case_sensitive || !key.is_string()) return key;
  return lower(rt, key);
}

bool flag(const Value* v) { return v && v->truthy(); }

Result<Value> list_f(Runtime& rt, const Value& v, const Bound&) {
  KL_ASSIGN(const SeqRef items, rt.items(v));
  return rt.list(items->items);
}

Result<Value> first_f(Runtime& rt, const Value& v, const Bound&) {
  if (v.is_string()) {
    if (v.str().empty()) return Value::undefined("No first item, sequence was empty.");
    return item(rt, v, Value::integer(0));
  }
  KL_ASSIGN(const SeqRef items, rt.items(v));
  return items->items.empty() ? Value::undefined("No first item, sequence was empty.") : items->items.front();
}
Result<Value> last_f(Runtime& rt, const Value& v, const Bound&) {
  if (v.is(Kind::sequence) && v.seq().kind == SeqKind::iterator)
    return error(Code::invalid_argument, "last: 'generator' object is not reversible");
  if (v.is_string()) {
    if (v.str().empty()) return Value::undefined("No last item, sequence was empty.");
    return item(rt, v, Value::integer(-1));
  }
  KL_ASSIGN(const SeqRef items, rt.items(v));
  return items->items.empty() ? Value::undefined("No last item, sequence was empty.") : items->items.back();
}

Result<Value> reverse_f(Runtime& rt, const Value& v, const Bound&) {
  const Value step = Value::integer(-1);
  if (v.is_string()) return slice(rt, v, nullptr, nullptr, &step);
  KL_ASSIGN(const SeqRef items, rt.items(v));
  std::vector<Value> out(items->items.rbegin(), items->items.rend());
  const bool copied = v.is_undefined() || (v.is(Kind::sequence) && v.seq().kind == SeqKind::iterator);
  return rt.seq(copied ? SeqKind::list : SeqKind::iterator, std::move(out));
}

Result<Value> join_f(Runtime& rt, const Value& v, const Bound& a) {
  KL_ASSIGN(const SeqRef items, rt.items(v));
  Path path;
  if (a.given(1)) KL_TRY(path.parse(*a[1]));
  std::vector<Value> parts;
  KL_TRY(rt.room(items->items.size(), sizeof(Value)));
  parts.reserve(items->items.size());
  for (const Value& each : items->items) {
    KL_ASSIGN(const Value got, path.get(rt, each));
    KL_ASSIGN(Value text, rt.str(got));
    parts.push_back(std::move(text));
  }
  KL_ASSIGN(Value separator, a[0] ? rt.str(*a[0]) : rt.text(""));
  if (separator.str().markup()) {  // str() of it: joining does not escape here
    StrBuilder plain = rt.builder();
    plain.append(separator.str());
    KL_ASSIGN(separator, rt.text(std::move(plain)));
  }
  return join(rt, separator, parts);
}

Result<Value> items_f(Runtime& rt, const Value& v, const Bound&) {
  if (v.is_undefined()) return rt.seq(SeqKind::iterator, {});
  if (!v.is(Kind::dict)) return error(Code::invalid_argument, "Can only get item pairs from a mapping.");
  std::vector<Value> out;
  KL_TRY(rt.tick(v.dict().size()));
  for (const auto& [key, value] : v.dict().entries()) {
    KL_ASSIGN(Value pair, rt.pair(key, value));
    out.push_back(std::move(pair));
  }
  return rt.seq(SeqKind::iterator, std::move(out));
}

Result<Value> picked(Runtime& rt, const std::vector<Value>& items, const std::vector<size_t>& order) {
  std::vector<Value> out;
  out.reserve(order.size());
  for (const size_t i : order) out.push_back(items[i]);
  return rt.list(std::move(out));
}

std::vector<size_t> identity(size_t n) {
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  return order;
}

Result<Value> dictsort_f(Runtime& rt, const Value& v, const Bound& a) {
  bool by_value = false;
  if (a[1]) {
    KL_ASSIGN(const Str* by, want_str(*a[1], "dictsort"));
    by_value = by->text() == "value";
    if (!by_value && by->text() != "key") return error(Code::invalid_argument, "dictsort: by must be 'key' or 'value'");
  }
  if (v.is_undefined()) return undefined_error(v);
  if (!v.is(Kind::dict)) return error(Code::invalid_argument, "dictsort: expected a dict, got '%s'", v.type_name());
  std::vector<Value> pairs, keys;
  for (const auto& [key, value] : v.dict().entries()) {
    KL_ASSIGN(Value pair, rt.pair(key, value));
    pairs.push_back(std::move(pair));
    KL_ASSIGN(Value sort_key, folded(rt, by_value ? value : key, flag(a[0])));
    keys.push_back(std::move(sort_key));
  }
  std::vector<size_t> order = identity(keys.size());
  KL_TRY(sort_by(rt, keys, flag(a[2]), order));
  return picked(rt, pairs, order);
}

Result<Value> sort_f(Runtime& rt, const Value& v, const Bound& a) {
  std::vector<Path> paths;
  if (a.given(2) && a[2]->is_string()) {
    const std::string_view text = a[2]->str().text();
    for (size_t pos = 0; pos <= text.size() && paths.size() < 64;) {
      const size_t comma = std::min(text.find(',', pos), text.size());
      KL_TRY(paths.emplace_back().parse(text.substr(pos, comma - pos)));
      pos = comma + 1;
    }
  } else {
    KL_TRY(paths.emplace_back().parse(a[2] ? *a[2] : Value::none()));
  }
  KL_ASSIGN(const SeqRef items, rt.items(v));
  std::vector<Value> keys;
  for (const Value& each : items->items) {
    std::vector<Value> parts;
    for (const Path& path : paths) {
      KL_ASSIGN(const Value got, path.get(rt, each));
      KL_ASSIGN(Value part, folded(rt, got, flag(a[1])));
      parts.push_back(std::move(part));
    }
    KL_ASSIGN(Value key, rt.list(std::move(parts)));
    keys.push_back(std::move(key));
  }
  std::vector<size_t> order = identity(keys.size());
  KL_TRY(sort_by(rt, keys, flag(a[0]), order));
  return picked(rt, items->items, order);
}

Result<Value> unique_f(Runtime& rt, const Value& v, const Bound& a) {
  Path path;
  if (a[1]) KL_TRY(path.parse(*a[1]));
  KL_ASSIGN(const SeqRef items, rt.items(v));
  Dict seen;
  std::vector<Value> out;
  for (const Value& each : items->items) {
    KL_TRY(rt.tick());
    KL_ASSIGN(const Value got, path.get(rt, each));
    KL_ASSIGN(const Value key, folded(rt, got, flag(a[0])));
    if (!hashable(key)) return error(Code::invalid_argument, "unique: unhashable type '%s'", key.type_name());
    if (seen.find(key)) continue;
    KL_TRY(rt.room(seen.size(), 2 * sizeof(Dict::Entry)));
    seen.set(key, Value::none());
    out.push_back(each);
  }
  return rt.seq(SeqKind::iterator, std::move(out));
}

Result<Value> extreme(Runtime& rt, const Value& v, const Bound& a, bool largest) {
  Path path;
  if (a[1]) KL_TRY(path.parse(*a[1]));
  KL_ASSIGN(const SeqRef items, rt.items(v));
  if (items->items.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  Value best, best_key;
  for (size_t i = 0; i < items->items.size(); ++i) {
    KL_ASSIGN(const Value got, path.get(rt, items->items[i]));
    KL_ASSIGN(Value key, folded(rt, got, flag(a[0])));
    bool better = i == 0;
    if (!better) {
      KL_ASSIGN(better, largest ? less(rt, best_key, key) : less(rt, key, best_key));
    }
    if (better) best = items->items[i], best_key = std::move(key);
  }
  return best;
}
Result<Value> min_f(Runtime& rt, const Value& v, const Bound& a) { return extreme(rt, v, a, false); }
Result<Value> max_f(Runtime& rt, const Value& v, const Bound& a) { return extreme(rt, v, a, true); }

Result<Value> sum_f(Runtime& rt, const Value& v, const Bound& a) {
  Path path;
  if (a[0]) KL_TRY(path.parse(*a[0]));
  KL_ASSIGN(const SeqRef items, rt.items(v));
  Value total = a[1] ? *a[1] : Value::integer(0);
  if (total.is_string()) return error(Code::invalid_argument, "sum() can't sum strings");
  for (const Value& each : items->items) {
    KL_ASSIGN(const Value got, path.get(rt, each));
    KL_TRY(rt.tick());
    KL_ASSIGN(total, binary(rt, Op::add, total, got));
  }
  return total;
}

Result<Value> groupby_f(Runtime& rt, const Value& v, const Bound& a) {
  Path path;
  KL_TRY(path.parse(*a[0]));
  KL_ASSIGN(const SeqRef items, rt.items(v));
  std::vector<Value> keys, shown;
  const Value* fallback = a.given(1) ? a[1] : nullptr;
  for (const Value& each : items->items) {
    KL_ASSIGN(Value got, path.get(rt, each, fallback));
    KL_ASSIGN(Value key, folded(rt, got, flag(a[2])));
    keys.push_back(std::move(key));
    shown.push_back(std::move(got));
  }
  std::vector<size_t> order = identity(keys.size());
  KL_TRY(sort_by(rt, keys, false, order));
  std::vector<Value> groups;
  for (size_t begin = 0; begin < order.size();) {
    std::vector<Value> members;
    size_t end = begin;
    for (; end < order.size(); ++end) {
      KL_ASSIGN(const bool same, equal(rt, keys[order[begin]], keys[order[end]]));
      if (!same && end > begin) break;
      members.push_back(items->items[order[end]]);
    }
    KL_ASSIGN(Value list, rt.list(std::move(members)));
    KL_ASSIGN(Value group, rt.pair(shown[order[begin]], std::move(list), true));
    groups.push_back(std::move(group));
    begin = end;
  }
  return rt.list(std::move(groups));
}

Result<Value> batch_f(Runtime& rt, const Value& v, const Bound& a) {
  KL_ASSIGN(const int64_t count, want_int(*a[0], "batch"));
  KL_ASSIGN(const SeqRef items, rt.items(v));
  std::vector<Value> out, row;
  for (const Value& each : items->items) {
    if (static_cast<int64_t>(row.size()) == count) {
      KL_ASSIGN(Value full, rt.list(std::move(row)));
      out.push_back(std::move(full));
      row = {};
    }
    row.push_back(each);
  }
  if (!row.empty()) {
    if (a.given(1) && static_cast<int64_t>(row.size()) < count) {
      KL_TRY(rt.room(static_cast<uint64_t>(count), sizeof(Value)));
      KL_TRY(rt.tick(static_cast<uint64_t>(count)));
      row.resize(static_cast<size_t>(count), *a[1]);
    }
    KL_ASSIGN(Value rest, rt.list(std::move(row)));
    out.push_back(std::move(rest));
  }
  return rt.seq(SeqKind::iterator, std::move(out));
}

Result<Value> slice_f(Runtime& rt, const Value& v, const Bound& a) {
  KL_ASSIGN(const int64_t slices, want_int(*a[0], "slice"));
  KL_ASSIGN(const SeqRef items, rt.items(v));
  if (slices == 0) return error(Code::invalid_argument, "slice: division by zero");
  const auto total = static_cast<int64_t>(items->items.size());
  std::vector<Value> out;
  if (slices > 0) {
    KL_TRY(rt.tick(static_cast<uint64_t>(slices)));
    KL_TRY(rt.room(static_cast<uint64_t>(slices), sizeof(Sequence) + sizeof(Value)));
  }
  for (int64_t i = 0, begin = 0; i < slices; ++i) {
    const bool extra = i < total % slices;
    const int64_t end = begin + total / slices + (extra ? 1 : 0);
    std::vector<Value> part(items->items.begin() + begin, items->items.begin() + end);
    if (a.given(1) && !extra) part.push_back(*a[1]);
    KL_ASSIGN(Value list, rt.list(std::move(part)));
    out.push_back(std::move(list));
    begin = end;
  }
  return rt.seq(SeqKind::iterator, std::move(out));
}

Result<Value> map_f(Runtime& rt, const Value& v, const Bound& a) {
  std::vector<Value> out;
  if (!v.truthy()) return rt.seq(SeqKind::iterator, {});
  const Args& args = *a.all;
  if (args.plain.empty() && !args.named.empty()) {
    Path path;
    const Value* fallback = nullptr;
    bool attribute = false;
    for (const auto& [name, value, trusted] : args.named) {
      if (name == "attribute") {
        attribute = true;
        KL_TRY(path.parse(value));
      } else if (name == "default") {
        fallback = value.is_none() ? nullptr : &value;
      } else {
        return error(Code::invalid_argument, "map: unexpected keyword argument '%s'", name.c_str());
      }
    }
    if (!attribute) return error(Code::invalid_argument, "map requires a filter argument");
    KL_ASSIGN(const SeqRef items, rt.items(v));
    for (const Value& each : items->items) {
      KL_ASSIGN(Value got, path.get(rt, each, fallback));
      KL_TRY(rt.tick());
      out.push_back(std::move(got));
    }
    return rt.seq(SeqKind::iterator, std::move(out));
  }
  if (args.plain.empty()) return error(Code::invalid_argument, "map requires a filter argument");
  KL_ASSIGN(const Str* name, want_str(args.plain[0], "map"));
  const FilterEntry* filter = find_filter(name->text());
  const Args rest{{args.plain.begin() + 1, args.plain.end()}, args.named};
  KL_ASSIGN(const SeqRef items, rt.items(v));
  for (const Value& each : items->items) {
    KL_ASSIGN(Value got, apply_filter(rt, filter, name->text(), each, rest));
    out.push_back(std::move(got));
  }
  return rt.seq(SeqKind::iterator, std::move(out));
}

Result<Value> chosen(Runtime& rt, const Value& v, const Bound& a, bool keep, bool by_attribute) {
  if (!v.truthy()) return rt.seq(SeqKind::iterator, {});
  const Args& args = *a.all;
  Path path;
  size_t used = 0;
  if (by_attribute) {
    if (args.plain.empty()) return error(Code::invalid_argument, "missing parameter for attribute name");
    KL_TRY(path.parse(args.plain[used++]));
  }
  const Str* name = nullptr;
  const TestEntry* test = nullptr;
  if (used < args.plain.size()) {
    KL_ASSIGN(name, want_str(args.plain[used++], "select"));
    test = find_test(name->text());
  }
  const Args rest{{args.plain.begin() + static_cast<std::ptrdiff_t>(used), args.plain.end()}, args.named};
  KL_ASSIGN(const SeqRef items, rt.items(v));
  std::vector<Value> out;
  for (const Value& each : items->items) {
    KL_ASSIGN(const Value got, path.get(rt, each));
    bool yes = got.truthy();
    if (name) {
      KL_ASSIGN(yes, apply_test(rt, test, name->text(), got, rest));
    }
    KL_TRY(rt.tick());
    if (yes == keep) out.push_back(each);
  }
  return rt.seq(SeqKind::iterator, std::move(out));
}
Result<Value> select_f(Runtime& rt, const Value& v, const Bound& a) { return chosen(rt, v, a, true, false); }
Result<Value> reject_f(Runtime& rt, const Value& v, const Bound& a) { return chosen(rt, v, a, false, false); }
Result<Value> selectattr_f(Runtime& rt, const Value& v, const Bound& a) { return chosen(rt, v, a, true, true); }
Result<Value> rejectattr_f(Runtime& rt, const Value& v, const Bound& a) { return chosen(rt, v, a, false, true); }

constexpr FilterEntry kFilters[] = {
    {"batch", {"linecount", "?fill_with"}, batch_f},
    {"dictsort", {"?case_sensitive", "?by", "?reverse"}, dictsort_f},
    {"first", {}, first_f},
    {"groupby", {"attribute", "?default", "?case_sensitive"}, groupby_f},
    {"items", {}, items_f},
    {"join", {"?d", "?attribute"}, join_f},
    {"last", {}, last_f},
    {"list", {}, list_f},
    {"map", {"*"}, map_f},
    {"max", {"?case_sensitive", "?attribute"}, max_f},
    {"min", {"?case_sensitive", "?attribute"}, min_f},
    {"reject", {"*"}, reject_f},
    {"rejectattr", {"*"}, rejectattr_f},
    {"reverse", {}, reverse_f},
    {"select", {"*"}, select_f},
    {"selectattr", {"*"}, selectattr_f},
    {"slice", {"slices", "?fill_with"}, slice_f},
    {"sort", {"?reverse", "?case_sensitive", "?attribute"}, sort_f},
    {"sum", {"?attribute", "?start"}, sum_f},
    {"unique", {"?case_sensitive", "?attribute"}, unique_f},
};

}  // namespace

std::span<const FilterEntry> sequence_filters() { return kFilters; }

}  // namespace kl::jinja
