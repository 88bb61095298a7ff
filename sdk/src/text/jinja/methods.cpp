// The methods of containers, loops, cyclers; and the look-up of methods.
#include "text/jinja/methods_str.h"
#include "text/jinja/objects.h"
#include "text/jinja/ops.h"

namespace kl::jinja {
namespace {

// ---- dict ----

Result<Value> view(Runtime& rt, const Dict& dict, SeqKind kind) {
  KL_TRY(rt.tick(dict.size()));
  KL_TRY(rt.room(dict.size(), sizeof(Value)));
  std::vector<Value> out;
  out.reserve(dict.size());
  for (const auto& [key, value] : dict.entries()) {
    if (kind == SeqKind::items) {
      KL_ASSIGN(Value pair, rt.pair(key, value));
      out.push_back(std::move(pair));
    } else {
      out.push_back(kind == SeqKind::keys ? key : value);
    }
  }
  return rt.seq(kind, std::move(out));
}
Result<Value> dict_items(Runtime& rt, const Value& d, const Bound&) { return view(rt, d.dict(), SeqKind::items); }
Result<Value> dict_keys(Runtime& rt, const Value& d, const Bound&) { return view(rt, d.dict(), SeqKind::keys); }
Result<Value> dict_values(Runtime& rt, const Value& d, const Bound&) { return view(rt, d.dict(), SeqKind::values); }
Result<Value> dict_get(Runtime&, const Value& d, const Bound& a) {
  if (!hashable(*a[0])) return error(Code::invalid_argument, "unhashable type: '%s'", a[0]->type_name());
  const Value* found = d.dict().find(*a[0]);
  return found ? *found : a[1] ? *a[1] : Value::none();
}
Result<Value> copy(Runtime&, const Value& v, const Bound&) { return v; }  // values do not change

constexpr MethodEntry kDict[] = {
    {"items", {}, dict_items},
    {"keys", {}, dict_keys},
    {"values", {}, dict_values},
    {"get", {"key", "?default"}, dict_get},
    {"copy", {}, copy},
    {"clear", {"*"}, nullptr},
    {"pop", {"*"}, nullptr},
    {"popitem", {"*"}, nullptr},
    {"setdefault", {"*"}, nullptr},
    {"update", {"*"}, nullptr},
};

// ---- list, tuple, range ----

Result<Value> seq_count(Runtime& rt, const Value& s, const Bound& a) {
  int64_t count = 0;
  for (const Value& item : s.seq().items) {
    KL_ASSIGN(const bool same, equal(rt, item, *a[0]));
    count += same ? 1 : 0;
  }
  return Value::integer(count);
}
Result<Value> seq_index(Runtime& rt, const Value& s, const Bound& a) {
  const auto& items = s.seq().items;
  const auto size = static_cast<int64_t>(items.size());
  int64_t start = 0, stop = size;
  if (a[1]) {
    KL_ASSIGN(start, want_int(*a[1], "index"));
    if (start < 0) start = start + size < 0 ? 0 : start + size;
  }
  if (a[2]) {
    KL_ASSIGN(stop, want_int(*a[2], "index"));
    if (stop < 0) stop += size;
  }
  for (int64_t i = start; i < stop && i < size; ++i) {
    KL_ASSIGN(const bool same, equal(rt, items[static_cast<size_t>(i)], *a[0]));
    if (same) return Value::integer(i);
  }
  return error(Code::invalid_argument, "index: the value is not in the %s", s.type_name());
}

constexpr MethodEntry kTuple[] = {{"count", {"value"}, seq_count}, {"index", {"value", "?start", "?stop"}, seq_index}};
constexpr MethodEntry kList[] = {
    {"count", {"value"}, seq_count},
    {"index", {"value", "?start", "?stop"}, seq_index},
    {"copy", {}, copy},
    {"append", {"*"}, nullptr},
    {"clear", {"*"}, nullptr},
    {"extend", {"*"}, nullptr},
    {"insert", {"*"}, nullptr},
    {"pop", {"*"}, nullptr},
    {"remove", {"*"}, nullptr},
    {"reverse", {"*"}, nullptr},
    {"sort", {"*"}, nullptr},
};

// ---- loop, cycler ----

Result<Value> loop_cycle(Runtime&, const Value& l, const Bound& a) {
  const auto& loop = static_cast<const LoopObject&>(l.object());
  if (a.all->plain.empty()) return error(Code::invalid_argument, "no items for cycling given");
  return a.all->plain[loop.index % a.all->plain.size()];
}
Result<Value> loop_changed(Runtime& rt, const Value& l, const Bound& a) {
  auto& loop = static_cast<LoopObject&>(l.object());
  bool same = loop.changed_called && loop.last_changed.size() == a.all->plain.size();
  for (size_t i = 0; same && i < loop.last_changed.size(); ++i) {
    KL_ASSIGN(same, equal(rt, loop.last_changed[i], a.all->plain[i]));
  }
  if (same) return Value::boolean(false);
  loop.changed_called = true;
  loop.last_changed = a.all->plain;
  return Value::boolean(true);
}
constexpr MethodEntry kLoop[] = {{"cycle", {"*"}, loop_cycle}, {"changed", {"*"}, loop_changed}};

Result<Value> cycler_next(Runtime&, const Value& c, const Bound&) {
  auto& cycler = static_cast<CyclerObject&>(c.object());
  const size_t now = cycler.next;
  cycler.next = (now + 1) % cycler.items.size();
  return cycler.items[now];
}
Result<Value> cycler_reset(Runtime&, const Value& c, const Bound&) {
  static_cast<CyclerObject&>(c.object()).next = 0;
  return Value::none();
}
constexpr MethodEntry kCycler[] = {{"next", {}, cycler_next}, {"reset", {}, cycler_reset}};

std::span<const MethodEntry> methods_of(const Value& self) {
  switch (self.kind()) {
    case Kind::string:
      return str_methods();
    case Kind::dict:
      return kDict;
    case Kind::sequence:
      if (self.seq().kind == SeqKind::list) return kList;
      if (self.seq().indexable()) return kTuple;
      return {};
    case Kind::object:
      if (self.object().type == Object::Type::loop) return kLoop;
      if (self.object().type == Object::Type::cycler) return kCycler;
      return {};
    default:
      return {};
  }
}

}  // namespace

const MethodEntry* find_method(const Value& self, std::string_view name) {
  for (const MethodEntry& entry : methods_of(self)) {
    if (name == entry.name) return &entry;
  }
  return nullptr;
}

}  // namespace kl::jinja
