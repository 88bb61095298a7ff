#include "text/jinja/value.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

namespace kl::jinja {
namespace {

constexpr size_t kIndexFrom = 9;  // fewer keys are compared one by one

uint64_t text_hash(std::string_view text) { return std::hash<std::string_view>{}(text) ^ 0x9E3779B97F4A7C15u; }

uint64_t scalar_hash(const Value& v) {
  switch (v.kind()) {
    case Kind::boolean:
    case Kind::integer:
      return static_cast<uint64_t>(v.as_integer()) * 0x9E3779B97F4A7C15u;
    case Kind::real: {
      const double d = v.as_real();
      if (d >= -9.2e18 && d <= 9.2e18 && std::trunc(d) == d) return static_cast<uint64_t>(static_cast<int64_t>(d)) * 0x9E3779B97F4A7C15u;
      return std::bit_cast<uint64_t>(d) * 0xC2B2AE3D27D4EB4Fu;
    }
    case Kind::string:
      return text_hash(v.str().text());
    default:
      return 7 + static_cast<uint64_t>(v.kind());
  }
}

bool scalar_same(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number())
    return a.is_integral() && b.is_integral() ? a.as_integer() == b.as_integer() : a.as_real() == b.as_real();
  if (a.kind() != b.kind()) return false;
  if (a.is_string()) return a.str_ref() == b.str_ref() || a.str().text() == b.str().text();
  return a.same(b);
}

bool scalar(const Value& v) { return !v.is(Kind::sequence) && !v.is(Kind::dict); }

}  // namespace

Value Value::list(std::vector<Value> items) {
  auto seq = std::make_shared<Sequence>();
  for (const Value& item : items) seq->depth = std::max(seq->depth, item.depth() + 1);
  seq->items = std::move(items);
  return Value(SeqRef(std::move(seq)));
}

Value Value::dict(std::vector<std::pair<std::string, Value>> items, bool trusted_keys) {
  auto dict = std::make_shared<Dict>();
  for (auto& item : items) dict->set(string(std::move(item.first), trusted_keys), std::move(item.second));
  return Value(DictRef(std::move(dict)));
}

std::string Value::undefined_message() const {
  const auto* u = std::get_if<Undefined>(&rep_);
  return u && u->message ? *u->message : std::string("the value is undefined");
}

bool Value::same(const Value& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::boolean:
      return as_bool() == other.as_bool();
    case Kind::integer:
      return as_integer() == other.as_integer();
    case Kind::real:
      return as_real() == other.as_real();
    case Kind::string:
      return str_ref() == other.str_ref();
    case Kind::sequence:
      return seq_ref() == other.seq_ref();
    case Kind::dict:
      return dict_ref() == other.dict_ref();
    case Kind::space:
      return space() == other.space();
    case Kind::object:
      return object_ref() == other.object_ref();
  }
  return false;
}

bool Value::truthy() const {
  switch (kind()) {
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return as_bool();
    case Kind::integer:
      return as_integer() != 0;
    case Kind::real:
      return as_real() != 0.0;
    case Kind::string:
      return !str().empty();
    case Kind::sequence:
      return seq().kind == SeqKind::iterator || !seq().items.empty();
    case Kind::dict:
      return dict().size() != 0;
    case Kind::space:
    case Kind::object:
      return true;
  }
  return false;
}

int Value::depth() const {
  if (is(Kind::sequence)) return seq().depth;
  if (is(Kind::dict)) return dict().depth();
  if (is(Kind::object)) return object().depth;
  return 0;
}

const char* Value::type_name() const {
  switch (kind()) {
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::string:
      return str().markup() ? "Markup" : "str";
    case Kind::sequence: {
      static constexpr const char* kNames[] = {"list", "tuple", "range", "generator", "dict_keys", "dict_values", "dict_items"};
      return kNames[static_cast<size_t>(seq().kind)];
    }
    case Kind::dict:
      return "dict";
    case Kind::space:
      return "Namespace";
    case Kind::object: {
      static constexpr const char* kNames[] = {"function", "method", "Macro", "LoopContext", "Cycler", "Joiner"};
      return kNames[static_cast<size_t>(object().type)];
    }
  }
  return "object";
}

bool hashable(const Value& key) {
  if (scalar(key)) return true;
  return key.is(Kind::sequence) && key.seq().kind == SeqKind::tuple && std::all_of(key.seq().items.begin(), key.seq().items.end(), scalar);
}

bool same_key(const Value& a, const Value& b) {
  if (scalar(a) || scalar(b)) return scalar(a) && scalar(b) && scalar_same(a, b);
  return std::equal(a.seq().items.begin(), a.seq().items.end(), b.seq().items.begin(), b.seq().items.end(), scalar_same);
}

uint64_t key_hash(const Value& key) {
  if (scalar(key)) return scalar_hash(key);
  uint64_t hash = 0x51ED270B;
  for (const Value& item : key.seq().items) hash = (hash ^ scalar_hash(item)) * 0x100000001B3u;
  return hash;
}

template <class Same>
const Dict::Entry* Dict::lookup(uint64_t hash, Same same) const {
  if (table_.empty()) {
    for (const Entry& entry : entries_) {
      if (same(entry.first)) return &entry;
    }
    return nullptr;
  }
  const size_t mask = table_.size() - 1;
  for (size_t slot = (hash >> 7) & mask; table_[slot] != 0; slot = (slot + 1) & mask) {
    const Entry& entry = entries_[table_[slot] - 1];
    if (same(entry.first)) return &entry;
  }
  return nullptr;
}

const Value* Dict::find(const Value& key) const {
  const Entry* entry = lookup(table_.empty() ? 0 : key_hash(key), [&](const Value& k) { return same_key(k, key); });
  return entry ? &entry->second : nullptr;
}

const Value* Dict::find(std::string_view key) const {
  const Entry* entry = lookup(table_.empty() ? 0 : text_hash(key), [&](const Value& k) { return k.is_string() && k.str().text() == key; });
  return entry ? &entry->second : nullptr;
}

void Dict::rebuild(size_t slots) {
  table_.assign(slots, 0);
  for (size_t i = 0; i < entries_.size(); ++i) {
    size_t slot = (key_hash(entries_[i].first) >> 7) & (slots - 1);
    while (table_[slot] != 0) slot = (slot + 1) & (slots - 1);
    table_[slot] = static_cast<uint32_t>(i + 1);
  }
}

void Dict::set(Value key, Value value) {
  depth_ = std::max(depth_, std::max(value.depth(), key.depth()) + 1);
  if (const Value* old = find(key)) {
    *const_cast<Value*>(old) = std::move(value);  // NOLINT: our own entry, found through the const search
    return;
  }
  entries_.emplace_back(std::move(key), std::move(value));
  if (entries_.size() < kIndexFrom) return;
  if (table_.size() < entries_.size() * 2) {
    rebuild(std::bit_ceil(entries_.size() * 4));
    return;
  }
  const size_t mask = table_.size() - 1;
  size_t slot = (key_hash(entries_.back().first) >> 7) & mask;
  while (table_[slot] != 0) slot = (slot + 1) & mask;
  table_[slot] = static_cast<uint32_t>(entries_.size());
}

bool Dict::set(std::string_view name, Value value) {
  if (const Value* old = find(name)) {
    depth_ = std::max(depth_, value.depth() + 1);
    *const_cast<Value*>(old) = std::move(value);  // NOLINT: our own entry, found through the const search
    return false;
  }
  set(Value::string(std::string(name), true), std::move(value));
  return true;
}

}  // namespace kl::jinja
