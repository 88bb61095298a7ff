// Attributes, items and slices.
#include <algorithm>

#include "text/jinja/objects.h"
#include "text/jinja/ops.h"
#include "text/jinja/unicode.h"

namespace kl::jinja {
namespace {

Value missing(const Value& value, std::string_view name) {
  return Value::undefined(format("'%s object' has no attribute '%.*s'", value.type_name(), static_cast<int>(name.size()), name.data()));
}
Value unsafe(const Value& value, std::string_view name) {
  return Value::undefined(
      format("access to attribute '%.*s' of '%s' object is unsafe", static_cast<int>(name.size()), name.data(), value.type_name()));
}

bool dunder(std::string_view name) { return name.size() > 4 && name.substr(0, 2) == "__" && name.substr(name.size() - 2) == "__"; }

Result<Value> loop_attribute(const Value& value, const LoopObject& loop, std::string_view name) {
  const auto& items = loop.items->items;
  const auto index = static_cast<int64_t>(loop.index), count = static_cast<int64_t>(items.size());
  if (name == "index") return Value::integer(index + 1);
  if (name == "index0") return Value::integer(index);
  if (name == "revindex") return Value::integer(count - index);
  if (name == "revindex0") return Value::integer(count - index - 1);
  if (name == "first") return Value::boolean(index == 0);
  if (name == "last") return Value::boolean(index + 1 >= count);
  if (name == "length") return Value::integer(count);
  if (name == "depth") return Value::integer(loop.level + 1);
  if (name == "depth0") return Value::integer(loop.level);
  if (name == "previtem") return index == 0 ? Value::undefined("there is no previous item") : items[loop.index - 1];
  if (name == "nextitem") return index + 1 >= count ? Value::undefined("there is no next item") : items[loop.index + 1];
  return missing(value, name);
}

Result<Value> object_attribute(const Value& value, std::string_view name) {
  const Object& object = value.object();
  if (object.type == Object::Type::loop) return loop_attribute(value, static_cast<const LoopObject&>(object), name);
  if (object.type == Object::Type::cycler && name == "current") {
    const auto& cycler = static_cast<const CyclerObject&>(object);
    return cycler.items[cycler.next];
  }
  if (object.type == Object::Type::macro && name == "name") {
    const Node* node = static_cast<const MacroObject&>(object).node;
    return node->kind == NodeKind::macro ? Value::string(node->macro.name, true) : Value::none();
  }
  return missing(value, name);
}

// What Python's own attribute lookup finds; nothing when there is no such attribute.
Result<std::optional<Value>> own_attribute(Runtime& rt, const Value& value, std::string_view name) {
  if (value.is(Kind::space)) {
    if (const Value* held = value.space()->attributes.find(name)) {
      if (name.substr(0, 1) == "_") return std::optional<Value>(unsafe(value, name));
      return std::optional<Value>(*held);
    }
    return std::optional<Value>();
  }
  if (const MethodEntry* method = find_method(value, name)) {
    if (!method->apply) return std::optional<Value>(unsafe(value, name));
    KL_ASSIGN(Value bound, rt.object(std::make_shared<MethodObject>(value, method), sizeof(MethodObject)));
    return std::optional<Value>(std::move(bound));
  }
  if (dunder(name)) return std::optional<Value>(unsafe(value, name));
  if (value.is(Kind::object)) {
    KL_ASSIGN(Value found, object_attribute(value, name));
    if (!found.is_undefined() || name == "previtem" || name == "nextitem") return std::optional<Value>(std::move(found));
  }
  if (value.is(Kind::sequence) && value.seq().group) {
    if (name == "grouper") return std::optional<Value>(value.seq().items[0]);
    if (name == "list") return std::optional<Value>(value.seq().items[1]);
  }
  return std::optional<Value>();
}

// value[key] where Python has it.
Result<std::optional<Value>> own_item(Runtime& rt, const Value& value, const Value& key) {
  if (value.is(Kind::dict)) {
    if (!hashable(key)) return std::optional<Value>();
    const Value* found = value.dict().find(key);
    return found ? std::optional<Value>(*found) : std::optional<Value>();
  }
  if (!key.is_integral()) return std::optional<Value>();
  int64_t index = key.as_integer();
  if (value.is(Kind::sequence) && value.seq().indexable()) {
    const auto& items = value.seq().items;
    const auto count = static_cast<int64_t>(items.size());
    if (index < 0) index += count;
    return index >= 0 && index < count ? std::optional<Value>(items[static_cast<size_t>(index)]) : std::optional<Value>();
  }
  if (value.is_string()) {
    const Str& text = value.str();
    if (!text.ascii()) KL_TRY(rt.tick_bytes(text.size()));
    const auto count = static_cast<int64_t>(text.length());
    if (index < 0) index += count;
    if (index < 0 || index >= count) return std::optional<Value>();
    const size_t begin = text.offset(static_cast<size_t>(index));
    KL_ASSIGN(Value c, rt.part(value, begin, begin + width_at(text.text(), begin)));
    return std::optional<Value>(std::move(c));
  }
  return std::optional<Value>();
}

// Python's slice.indices(): the first index, and how many steps fit.
struct Span {
  int64_t start = 0, stop = 0, count = 0, step = 1;
};
Result<Span> span_of(int64_t length, const Value* start, const Value* stop, const Value* step) {
  Span s;
  const auto bound = [&](const Value* v, int64_t absent) -> Result<int64_t> {
    if (!v || v->is_none()) return absent;
    KL_ASSIGN(int64_t i, want_int(*v, "slice"));
    if (i < 0) i = std::max(i + length, s.step < 0 ? int64_t{-1} : int64_t{0});
    return std::min(i, s.step < 0 ? length - 1 : length);
  };
  if (step && !step->is_none()) {
    KL_ASSIGN(s.step, want_int(*step, "slice step"));
  }
  if (s.step == 0) return error(Code::invalid_argument, "slice step cannot be zero");
  s.step = std::clamp<int64_t>(s.step, -(int64_t{1} << 62), int64_t{1} << 62);
  KL_ASSIGN(s.start, bound(start, s.step < 0 ? length - 1 : 0));
  KL_ASSIGN(s.stop, bound(stop, s.step < 0 ? -1 : length));
  if (s.step > 0 && s.stop > s.start) s.count = (s.stop - s.start - 1) / s.step + 1;
  if (s.step < 0 && s.stop < s.start) s.count = (s.start - s.stop - 1) / -s.step + 1;
  return s;
}

Result<Value> slice_str(Runtime& rt, const Value& value, const Span& s) {
  const Str& text = value.str();
  KL_TRY(rt.tick_bytes(text.size()));
  if (s.count == 0) return rt.part(value, 0, 0);
  if (s.step == 1) {
    const size_t begin = text.offset(static_cast<size_t>(s.start));
    size_t end = begin;
    if (text.ascii()) {
      end += static_cast<size_t>(s.count);
    } else {
      for (int64_t i = 0; i < s.count; ++i) end += width_at(text.text(), end);
    }
    return rt.part(value, begin, end);
  }
  KL_TRY(rt.tick(text.length()));
  KL_TRY(rt.room(text.length(), sizeof(size_t)));
  std::vector<size_t> starts;
  for (size_t pos = 0; pos < text.size(); pos += width_at(text.text(), pos)) starts.push_back(pos);
  StrBuilder out = rt.builder();
  for (int64_t i = 0, at = s.start; i < s.count; ++i, at += s.step) {
    const size_t begin = starts[static_cast<size_t>(at)];
    out.append(text, begin, begin + width_at(text.text(), begin));
  }
  return rt.text(std::move(out), text.markup());
}

}  // namespace

Result<Value> attribute(Runtime& rt, const Value& value, std::string_view name) {
  if (value.is_undefined()) return undefined_error(value);
  KL_ASSIGN(std::optional<Value> own, own_attribute(rt, value, name));
  if (own) return std::move(*own);
  if (value.is(Kind::dict)) {
    if (const Value* found = value.dict().find(name)) return *found;
  }
  return missing(value, name);
}

Result<Value> item(Runtime& rt, const Value& value, const Value& key) {
  if (value.is_undefined()) return undefined_error(value);
  KL_ASSIGN(std::optional<Value> held, own_item(rt, value, key));
  if (held) return std::move(*held);
  if (key.is_string()) {
    KL_ASSIGN(std::optional<Value> own, own_attribute(rt, value, key.str().text()));
    if (own) return std::move(*own);
    return missing(value, key.str().text());
  }
  return Value::undefined(format("'%s object' has no such element", value.type_name()));
}

Result<Value> slice(Runtime& rt, const Value& value, const Value* start, const Value* stop, const Value* step) {
  if (value.is_undefined()) return undefined_error(value);
  const bool indexable = value.is_string() || (value.is(Kind::sequence) && value.seq().indexable());
  if (!indexable) return error(Code::invalid_argument, "'%s' object cannot be sliced", value.type_name());
  KL_ASSIGN(const int64_t count, length(value));
  KL_ASSIGN(const Span s, span_of(count, start, stop, step));
  if (value.is_string()) return slice_str(rt, value, s);
  const Sequence& seq = value.seq();
  if (seq.kind == SeqKind::range) {
    const auto at = [&](int64_t i, int64_t& out) {
      return !__builtin_mul_overflow(i, seq.step, &out) && !__builtin_add_overflow(out, seq.start, &out);
    };
    int64_t first = 0, last = 0, stride = 0;
    if (!at(s.start, first) || !at(s.stop, last) || __builtin_mul_overflow(seq.step, s.step, &stride)) {
      return error(Code::unsupported, "a slice of a range does not fit 64-bit integers");
    }
    return rt.range(first, last, stride);
  }
  KL_TRY(rt.room(static_cast<uint64_t>(s.count), sizeof(Value)));
  KL_TRY(rt.tick(static_cast<uint64_t>(s.count) / 8));
  std::vector<Value> out;
  out.reserve(static_cast<size_t>(s.count));
  for (int64_t i = 0, at = s.start; i < s.count; ++i, at += s.step) out.push_back(seq.items[static_cast<size_t>(at)]);
  return rt.seq(seq.kind, std::move(out));
}

Result<int64_t> length(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return 0;
    case Kind::string:
      return static_cast<int64_t>(value.str().length());
    case Kind::dict:
      return static_cast<int64_t>(value.dict().size());
    case Kind::sequence:
      if (value.seq().kind != SeqKind::iterator) return static_cast<int64_t>(value.seq().items.size());
      break;
    case Kind::object:
      if (value.object().type == Object::Type::loop)
        return static_cast<int64_t>(static_cast<const LoopObject&>(value.object()).items->items.size());
      break;
    default:
      break;
  }
  return error(Code::invalid_argument, "object of type '%s' has no len()", value.type_name());
}

Result<Value> escape_html(Runtime& rt, const Value& value) {
  if (value.is_string() && value.str().markup()) return value;
  KL_ASSIGN(const Value plain, rt.str(value));
  StrBuilder out = rt.builder();
  const Str& s = plain.str();
  s.each_run(0, s.size(), [&](std::string_view run, bool trusted) {
    size_t done = 0;
    for (size_t i = 0; i < run.size(); ++i) {
      const char c = run[i];
      const char* entity = c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '"' ? "&#34;" : c == '\'' ? "&#39;" : nullptr;
      if (!entity) continue;
      out.append(run.substr(done, i - done), trusted);
      out.append(entity, trusted);
      done = i + 1;
    }
    out.append(run.substr(done), trusted);
  });
  return rt.text(std::move(out), true);
}

}  // namespace kl::jinja
