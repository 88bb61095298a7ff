#include "text/jinja/runtime.h"

#include <algorithm>

#include "text/jinja/unicode.h"

namespace kl::jinja {
namespace {
constexpr size_t kSharedBlock = 32;  // reference counts and heap bookkeeping of a value
}

// Namespaces may hold each other's values: emptied one after the other, so that no cycle is followed.
Runtime::~Runtime() {
  for (Namespace& space : spaces_) space.attributes = Dict();
}

Status Runtime::tick(uint64_t steps) {
  if (budget_.spend(steps)) return {};
  return error(Code::unsupported, "the template needs more than %s steps", with_commas(limits().steps).c_str());
}

Status Runtime::check(const StrBuilder& built) const {
  if (!built.overflow()) return {};
  return error(Code::unsupported, "the template makes a text of more than %s bytes", with_commas(built.limit()).c_str());
}

Status Runtime::room(uint64_t count, size_t bytes) {
  if (count <= limits().memory_bytes / bytes) {
    if (budget_.take(static_cast<size_t>(count) * bytes)) {
      budget_.release(static_cast<size_t>(count) * bytes);
      return {};
    }
  }
  return error(Code::out_of_memory, "the template needs more than %s bytes of memory", with_commas(limits().memory_bytes).c_str());
}

Result<Value> Runtime::text(StrBuilder&& built, bool markup) {
  KL_TRY(check(built));
  KL_TRY(tick_bytes(built.size()));
  auto made = std::make_shared<Str>(built.take(markup));
  const size_t bytes = made->memory() + kSharedBlock;
  KL_TRY(room(1, bytes));
  budget_.take(bytes);
  made->hold(Charge(&budget_, bytes));
  return Value(StrRef(std::move(made)));
}

Result<Value> Runtime::text(std::string_view trusted) {
  StrBuilder built = builder();
  built.literal(trusted);
  return text(std::move(built));
}

Result<Value> Runtime::part(const Value& string, size_t begin, size_t end) {
  const Str& whole = string.str();
  if (begin == 0 && end == whole.size()) return string;
  StrBuilder built = builder();
  built.append(whole, begin, end);
  return text(std::move(built), whole.markup());
}

Result<Value> Runtime::seq(SeqKind kind, std::vector<Value> items, bool group) {
  auto made = std::make_shared<Sequence>();
  made->kind = kind;
  made->group = group;
  for (const Value& item : items) made->depth = std::max(made->depth, item.depth() + 1);
  if (made->depth > kMaxValueDepth) return error(Code::unsupported, "the template nests lists deeper than %d", kMaxValueDepth);
  KL_TRY(tick(items.size() / 8));
  const size_t bytes = sizeof(Sequence) + kSharedBlock + items.capacity() * sizeof(Value);
  KL_TRY(room(1, bytes));
  budget_.take(bytes);
  made->items = std::move(items);
  made->charge = Charge(&budget_, bytes);
  return Value(SeqRef(std::move(made)));
}

Result<Value> Runtime::pair(Value a, Value b, bool group) {
  std::vector<Value> two;
  two.reserve(2);
  two.push_back(std::move(a));
  two.push_back(std::move(b));
  return seq(SeqKind::tuple, std::move(two), group);
}

Result<Value> Runtime::range(int64_t start, int64_t stop, int64_t step) {
  if (step == 0) return error(Code::invalid_argument, "range() arg 3 must not be zero");
  const bool up = step > 0;
  const uint64_t span = up ? (stop > start ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start) : 0)
                           : (start > stop ? static_cast<uint64_t>(start) - static_cast<uint64_t>(stop) : 0);
  const uint64_t stride = up ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  const uint64_t count = span / stride + (span % stride != 0 ? 1 : 0);
  if (count > static_cast<uint64_t>(kMaxRange))
    return error(Code::unsupported, "range() of more than %s items", with_commas(kMaxRange).c_str());
  KL_TRY(tick(count / 8));
  auto made = std::make_shared<Sequence>();
  made->kind = SeqKind::range;
  made->start = start, made->stop = stop, made->step = step;
  const size_t bytes = sizeof(Sequence) + kSharedBlock + static_cast<size_t>(count) * sizeof(Value);
  KL_TRY(room(1, bytes));
  budget_.take(bytes);
  made->charge = Charge(&budget_, bytes);
  made->items.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) {
    made->items.push_back(Value::integer(static_cast<int64_t>(static_cast<uint64_t>(start) + i * static_cast<uint64_t>(step))));
  }
  return Value(SeqRef(std::move(made)));
}

Result<Value> Runtime::dict(Dict&& built) {
  auto made = std::make_shared<Dict>(std::move(built));
  if (made->depth() > kMaxValueDepth) return error(Code::unsupported, "the template nests dicts deeper than %d", kMaxValueDepth);
  KL_TRY(tick(made->size() / 8));
  const size_t bytes = made->memory() + kSharedBlock;
  KL_TRY(room(1, bytes));
  budget_.take(bytes);
  made->hold(Charge(&budget_, bytes));
  return Value(DictRef(std::move(made)));
}

Result<Value> Runtime::object(std::shared_ptr<Object> made, size_t bytes) {
  if (made->depth > kMaxValueDepth) return error(Code::unsupported, "the template nests objects deeper than %d", kMaxValueDepth);
  bytes += kSharedBlock;
  KL_TRY(room(1, bytes));
  budget_.take(bytes);
  made->charge = Charge(&budget_, bytes);
  return Value(ObjectRef(std::move(made)));
}

Result<Namespace*> Runtime::space() {
  KL_TRY(room(1, sizeof(Namespace)));
  budget_.take(sizeof(Namespace));  // until the end of the rendering
  return &spaces_.emplace_back();
}

Status Runtime::space_grew() {
  constexpr size_t kAttribute = 2 * sizeof(Value) + 4 * sizeof(uint32_t);
  KL_TRY(room(1, kAttribute));
  budget_.take(kAttribute);
  return {};
}

Result<Value> Runtime::str(const Value& value) {
  if (value.is_string()) return value;
  StrBuilder out = builder();
  KL_TRY(str(value, out));
  return text(std::move(out));
}

Result<SeqRef> Runtime::items(const Value& value) {
  const auto held = [](Result<Value> made) -> Result<SeqRef> {
    if (!made.ok()) return made.status();
    return made->seq_ref();
  };
  switch (value.kind()) {
    case Kind::undefined:
      return held(list({}));
    case Kind::sequence: {
      const Sequence& seq = value.seq();
      if (seq.kind != SeqKind::iterator || seq.next == 0) {
        if (seq.kind == SeqKind::iterator) seq.next = seq.items.size();
        return value.seq_ref();
      }
      std::vector<Value> rest(seq.items.begin() + static_cast<std::ptrdiff_t>(seq.next), seq.items.end());
      seq.next = seq.items.size();
      return held(list(std::move(rest)));
    }
    case Kind::dict: {
      std::vector<Value> keys;
      KL_TRY(room(value.dict().size(), sizeof(Value)));
      keys.reserve(value.dict().size());
      for (const auto& [key, held_value] : value.dict().entries()) keys.push_back(key);
      return held(list(std::move(keys)));
    }
    case Kind::string: {
      const Str& text = value.str();
      const size_t length = text.length();
      KL_TRY(room(length, sizeof(Str) + kSharedBlock + sizeof(Value)));
      KL_TRY(tick(length));
      std::vector<Value> characters;
      characters.reserve(length);
      for (size_t pos = 0; pos < text.size();) {
        const size_t end = pos + width_at(text.text(), pos);
        KL_ASSIGN(Value c, part(value, pos, end));
        characters.push_back(std::move(c));
        pos = end;
      }
      return held(list(std::move(characters)));
    }
    default:
      return error(Code::invalid_argument, "'%s' object is not iterable", value.type_name());
  }
}

Status undefined_error(const Value& value) { return error(Code::invalid_argument, "%s", value.undefined_message().c_str()); }

Result<int64_t> want_int(const Value& value, const char* what) {
  if (value.is_integral()) return value.as_integer();
  if (value.is_undefined()) return undefined_error(value);
  return error(Code::invalid_argument, "%s: expected an int, got '%s'", what, value.type_name());
}

Result<const Str*> want_str(const Value& value, const char* what) {
  if (value.is_string()) return &value.str();
  if (value.is_undefined()) return undefined_error(value);
  return error(Code::invalid_argument, "%s: expected a str, got '%s'", what, value.type_name());
}

}  // namespace kl::jinja
