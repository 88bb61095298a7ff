// The global functions.
#include "text/jinja/filters.h"
#include "text/jinja/objects.h"
#include "text/jinja/ops.h"

namespace kl::jinja {
namespace {

Result<Value> range_g(Runtime& rt, const Bound& a) {
  KL_ASSIGN(int64_t start, want_int(*a[0], "range"));
  if (!a[1]) return rt.range(0, start, 1);
  KL_ASSIGN(const int64_t stop, want_int(*a[1], "range"));
  int64_t step = 1;
  if (a[2]) {
    KL_ASSIGN(step, want_int(*a[2], "range"));
  }
  return rt.range(start, stop, step);
}

// dict(mapping or pairs, name=value, ...)
Result<Dict> build_dict(Runtime& rt, const Args& args, const char* what) {
  Dict dict;
  if (args.plain.size() > 1) return error(Code::invalid_argument, "%s expected at most 1 argument, got %zu", what, args.plain.size());
  if (!args.plain.empty()) {
    const Value& from = args.plain[0];
    if (from.is(Kind::dict)) {
      KL_TRY(rt.tick(from.dict().size()));
      for (const auto& [key, value] : from.dict().entries()) dict.set(key, value);
    } else {
      KL_ASSIGN(const SeqRef pairs, rt.items(from));
      for (const Value& pair : pairs->items) {
        KL_TRY(rt.tick());
        KL_ASSIGN(const SeqRef two, rt.items(pair));
        if (two->items.size() != 2) return error(Code::invalid_argument, "%s: expected pairs of key and value", what);
        if (!hashable(two->items[0])) return error(Code::invalid_argument, "unhashable type: '%s'", two->items[0].type_name());
        dict.set(two->items[0], two->items[1]);
      }
    }
  }
  for (const auto& [name, value, trusted] : args.named) dict.set(Value::string(name, trusted), value);
  return dict;
}

Result<Value> dict_g(Runtime& rt, const Bound& a) {
  KL_ASSIGN(Dict dict, build_dict(rt, *a.all, "dict"));
  return rt.dict(std::move(dict));
}

Result<Value> namespace_g(Runtime& rt, const Bound& a) {
  KL_ASSIGN(Dict dict, build_dict(rt, *a.all, "namespace"));
  KL_ASSIGN(Namespace * space, rt.space());
  for (const auto& [key, value] : dict.entries()) {
    if (key.is_string() && key.str().text().starts_with('_')) {
      return error(Code::invalid_argument, "namespaces cannot hold attributes that start with an underscore");
    }
    KL_TRY(rt.space_grew());
  }
  space->attributes = std::move(dict);
  return Value(space);
}

Result<Value> cycler_g(Runtime& rt, const Bound& a) {
  const auto& items = a.all->plain;
  if (items.empty()) return error(Code::invalid_argument, "cycler: at least one item has to be provided");
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return rt.object(std::make_shared<CyclerObject>(items, depth + 1), sizeof(CyclerObject) + items.size() * sizeof(Value));
}

Result<Value> joiner_g(Runtime& rt, const Bound& a) {
  Value separator = Value::string(", ", true);
  if (a[0]) separator = *a[0];
  return rt.object(std::make_shared<JoinerObject>(separator), sizeof(JoinerObject));
}

Result<Value> raise_g(Runtime& rt, const Bound& a) {
  StrBuilder out = rt.builder();
  KL_TRY(rt.str(*a[0], out));
  return error(Code::invalid_argument, "the template refuses this conversation: %s", std::string(out.text().substr(0, 4096)).c_str());
}

Result<Value> strftime_g(Runtime& rt, const Bound& a) {
  KL_ASSIGN(const Str* pattern, want_str(*a[0], "strftime_now"));
  KL_TRY(rt.tick_bytes(pattern->size() * 16));
  if (pattern->size() > 4096) return error(Code::unsupported, "strftime_now: a format of more than 4096 bytes");
  KL_ASSIGN(const std::string text, strftime(rt.now().value_or(CivilTime{}), pattern->text()));
  StrBuilder out = rt.builder();
  out.append(text, pattern->trusted());
  return rt.text(std::move(out));
}

constexpr FunctionEntry kFunctions[] = {
    {"range", {"start", "?stop", "?step"}, range_g},
    {"dict", {"*"}, dict_g},
    {"namespace", {"*"}, namespace_g},
    {"cycler", {"*"}, cycler_g},
    {"joiner", {"?sep"}, joiner_g},
    {"raise_exception", {"message"}, raise_g},
    {"strftime_now", {"format"}, strftime_g},
};

}  // namespace

std::span<const FunctionEntry> all_functions() { return kFunctions; }

}  // namespace kl::jinja
