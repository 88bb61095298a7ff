// The values of the template language: Python's, as far as templates meet them. Immutable but for namespaces and the positions of iterators, loops, cyclers.
// A value made during a rendering is charged to its budget and does not outlive it; values of the host (the context) may be shared by threads.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/str.h"

namespace kl::jinja {

class Value;
struct Sequence;
class Dict;
struct Namespace;
struct Object;
using SeqRef = std::shared_ptr<const Sequence>;
using DictRef = std::shared_ptr<const Dict>;
using ObjectRef = std::shared_ptr<Object>;

// A missing thing: prints as nothing, is empty and false; what else is done with it fails with the message.
struct Undefined {
  std::shared_ptr<const std::string> message;
};

enum class Kind : uint8_t { undefined, none, boolean, integer, real, string, sequence, dict, space, object };

class Value {
 public:
  Value() = default;  // undefined
  static Value none() { return Value(Rep(std::in_place_index<1>)); }
  static Value undefined(std::string message) { return Value(Rep(Undefined{std::make_shared<const std::string>(std::move(message))})); }
  static Value boolean(bool b) { return Value(Rep(std::in_place_index<2>, b)); }
  static Value integer(int64_t i) { return Value(Rep(std::in_place_index<3>, i)); }
  static Value real(double d) { return Value(Rep(std::in_place_index<4>, d)); }
  static Value string(std::string text, bool trusted) { return Value(std::make_shared<const Str>(std::move(text), trusted)); }
  static Value list(std::vector<Value> items);
  // Pairs in order; a later pair with the same key replaces the value of the earlier one.
  static Value dict(std::vector<std::pair<std::string, Value>> items, bool trusted_keys);

  explicit Value(StrRef s) : rep_(std::move(s)) {}
  explicit Value(SeqRef s) : rep_(std::move(s)) {}
  explicit Value(DictRef d) : rep_(std::move(d)) {}
  explicit Value(Namespace* n) : rep_(n) {}
  explicit Value(ObjectRef o) : rep_(std::move(o)) {}

  Kind kind() const { return static_cast<Kind>(rep_.index()); }
  bool is(Kind k) const { return kind() == k; }
  bool is_undefined() const { return is(Kind::undefined); }
  bool is_none() const { return is(Kind::none); }
  bool is_string() const { return is(Kind::string); }
  // An int as Python sees it: booleans count.
  bool is_integral() const { return is(Kind::integer) || is(Kind::boolean); }
  bool is_number() const { return is_integral() || is(Kind::real); }

  // Precondition of each: kind() fits.
  bool as_bool() const { return *std::get_if<2>(&rep_); }
  int64_t as_integer() const { return is(Kind::boolean) ? static_cast<int64_t>(as_bool()) : *std::get_if<3>(&rep_); }
  double as_real() const { return is(Kind::real) ? *std::get_if<4>(&rep_) : static_cast<double>(as_integer()); }
  const Str& str() const { return **std::get_if<5>(&rep_); }
  const StrRef& str_ref() const { return *std::get_if<5>(&rep_); }
  const Sequence& seq() const { return **std::get_if<6>(&rep_); }
  const SeqRef& seq_ref() const { return *std::get_if<6>(&rep_); }
  const Dict& dict() const { return **std::get_if<7>(&rep_); }
  const DictRef& dict_ref() const { return *std::get_if<7>(&rep_); }
  Namespace* space() const { return *std::get_if<8>(&rep_); }
  Object& object() const { return **std::get_if<9>(&rep_); }
  const ObjectRef& object_ref() const { return *std::get_if<9>(&rep_); }
  std::string undefined_message() const;

  // The same object (Python's `is`).
  bool same(const Value& other) const;
  bool truthy() const;
  int depth() const;              // 0 for what holds no other value
  const char* type_name() const;  // Python's: "str", "NoneType", "dict"

 private:
  using Rep = std::variant<Undefined, std::monostate, bool, int64_t, double, StrRef, SeqRef, DictRef, Namespace*, ObjectRef>;
  explicit Value(Rep rep) : rep_(std::move(rep)) {}
  Rep rep_;
};

enum class SeqKind : uint8_t { list, tuple, range, iterator, keys, values, items };

struct Sequence {
  SeqKind kind = SeqKind::list;
  std::vector<Value> items;
  int64_t start = 0, stop = 0, step = 1;  // of a range, for printing
  mutable size_t next = 0;                // of an iterator: what was already taken
  bool group = false;                     // a tuple of groupby: also has .grouper and .list
  int depth = 1;
  Charge charge;

  // What [i] works on.
  bool indexable() const { return kind == SeqKind::list || kind == SeqKind::tuple || kind == SeqKind::range; }
};

// Insertion-ordered; keys are scalars or flat tuples of scalars.
class Dict {
 public:
  using Entry = std::pair<Value, Value>;
  const std::vector<Entry>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }
  int depth() const { return depth_; }
  // Precondition: hashable(key).
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  void set(Value key, Value value);  // while being built
  // The same for the names of a namespace; true: a new one.
  bool set(std::string_view name, Value value);
  size_t memory() const { return sizeof(Dict) + entries_.capacity() * sizeof(Entry) + table_.capacity() * sizeof(uint32_t); }
  void hold(Charge charge) { charge_ = std::move(charge); }

 private:
  template <class Same>
  const Entry* lookup(uint64_t hash, Same same) const;
  void rebuild(size_t slots);

  std::vector<Entry> entries_;
  std::vector<uint32_t> table_;  // open addressing, entry number + 1; empty for a few entries
  int depth_ = 1;
  Charge charge_;
};

// Scalars and flat tuples of scalars.
bool hashable(const Value& key);
// Python's == of two hashable values: 1 == 1.0 == True.
bool same_key(const Value& a, const Value& b);
uint64_t key_hash(const Value& key);

// namespace(): the one thing a template can write to. Owned by the rendering, so that cycles of values do not leak.
struct Namespace {
  Dict attributes;
};

// Everything callable, and `loop`.
struct Object {
  enum class Type : uint8_t { function, method, macro, loop, cycler, joiner };
  Object(Type t, int d) : type(t), depth(d) {}
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;
  Type type;
  int depth;
  Charge charge;
};

}  // namespace kl::jinja
