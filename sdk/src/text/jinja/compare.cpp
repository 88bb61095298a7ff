#include <algorithm>

#include "text/jinja/ops.h"

namespace kl::jinja {
namespace {

bool comparable_seq(const Value& a, const Value& b) {
  return a.is(Kind::sequence) && b.is(Kind::sequence) && a.seq().kind == b.seq().kind &&
         (a.seq().kind == SeqKind::list || a.seq().kind == SeqKind::tuple);
}

// -1, 0, 1 of an integer and a float without rounding the integer; NaN: 2.
int order(int64_t i, double d) {
  if (d != d) return 2;
  if (d >= 9223372036854775808.0) return -1;
  if (d < -9223372036854775808.0) return 1;
  const auto whole = static_cast<int64_t>(d);
  if (i != whole) return i < whole ? -1 : 1;
  const double rest = d - static_cast<double>(whole);
  return rest > 0 ? -1 : rest < 0 ? 1 : 0;
}
int order(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return a.as_integer() < b.as_integer() ? -1 : a.as_integer() > b.as_integer() ? 1 : 0;
  if (a.is_integral()) return order(a.as_integer(), b.as_real());
  if (b.is_integral()) {
    const int o = order(b.as_integer(), a.as_real());
    return o == 2 ? 2 : -o;
  }
  const double x = a.as_real(), y = b.as_real();
  return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
}

Result<bool> equal_dicts(Runtime& rt, const Dict& a, const Dict& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [key, value] : a.entries()) {
    const Value* other = b.find(key);
    if (!other) return false;
    KL_ASSIGN(const bool same, equal(rt, value, *other));
    if (!same) return false;
  }
  return true;
}

// Does a stand before b (strictly or not)?
Result<bool> before(Runtime& rt, const Value& a, const Value& b, bool or_equal) {
  KL_TRY(rt.tick());
  if (a.is_number() && b.is_number()) {
    const int o = order(a, b);
    return o == -1 || (or_equal && o == 0);
  }
  if (a.is_string() && b.is_string()) {
    KL_TRY(rt.tick_bytes(std::min(a.str().size(), b.str().size())));
    const int o = a.str().text().compare(b.str().text());  // bytes of UTF-8 order as characters do
    return o < 0 || (or_equal && o == 0);
  }
  if (comparable_seq(a, b)) {
    const auto &x = a.seq().items, &y = b.seq().items;
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      KL_ASSIGN(const bool same, equal(rt, x[i], y[i]));
      if (!same) return before(rt, x[i], y[i], or_equal);
    }
    return x.size() < y.size() || (or_equal && x.size() == y.size());
  }
  if (a.is_undefined()) return undefined_error(a);
  if (b.is_undefined()) return undefined_error(b);
  return error(Code::invalid_argument, "'<' not supported between instances of '%s' and '%s'", a.type_name(), b.type_name());
}

}  // namespace

Result<bool> equal(Runtime& rt, const Value& a, const Value& b) {
  KL_TRY(rt.tick());
  if (a.is_number() && b.is_number()) return order(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  if (a.is_string()) {
    if (a.str().size() != b.str().size()) return false;
    KL_TRY(rt.tick_bytes(a.str().size()));
    return a.str().text() == b.str().text();
  }
  if (a.same(b)) return true;
  if (a.is(Kind::dict)) return equal_dicts(rt, a.dict(), b.dict());
  if (!a.is(Kind::sequence)) return false;
  const Sequence &x = a.seq(), &y = b.seq();
  if (x.kind != y.kind || x.kind == SeqKind::iterator || x.kind == SeqKind::values) return false;
  if (x.items.size() != y.items.size()) return false;
  for (size_t i = 0; i < x.items.size(); ++i) {
    KL_ASSIGN(const bool same, equal(rt, x.items[i], y.items[i]));
    if (!same) return false;
  }
  return true;
}

Result<bool> less(Runtime& rt, const Value& a, const Value& b) { return before(rt, a, b, false); }

Result<bool> contains(Runtime& rt, const Value& container, const Value& item) {
  if (container.is_string()) {
    if (item.is_undefined()) return undefined_error(item);
    KL_ASSIGN(const Str* needle, want_str(item, "'in <str>'"));
    if (needle->empty()) return true;
    KL_TRY(rt.tick_bytes(container.str().size() + needle->size()));
    return Finder(needle->text()).first(container.str().text()) != std::string_view::npos;
  }
  if (container.is(Kind::dict)) {
    if (!hashable(item)) return error(Code::invalid_argument, "unhashable type: '%s'", item.type_name());
    KL_TRY(rt.tick());
    return container.dict().find(item) != nullptr;
  }
  if (!container.is(Kind::sequence) && !container.is_undefined()) {
    return error(Code::invalid_argument, "argument of type '%s' is not iterable", container.type_name());
  }
  KL_ASSIGN(const SeqRef held, rt.items(container));
  for (const Value& each : held->items) {
    KL_ASSIGN(const bool same, equal(rt, each, item));
    if (same) return true;
  }
  return false;
}

Result<bool> compare(Runtime& rt, Op op, const Value& a, const Value& b) {
  const auto inverse = [](Result<bool> r) -> Result<bool> { return r.ok() ? Result<bool>(!*r) : r; };
  switch (op) {
    case Op::eq:
      return equal(rt, a, b);
    case Op::ne:
      return inverse(equal(rt, a, b));
    case Op::lt:
      return before(rt, a, b, false);
    case Op::le:
      return before(rt, a, b, true);
    case Op::gt:
      return before(rt, b, a, false);
    case Op::ge:
      return before(rt, b, a, true);
    case Op::in:
      return contains(rt, b, a);
    default:
      return inverse(contains(rt, b, a));
  }
}

// A merge sort of our own: a comparison may fail, and one that contradicts itself (NaN) must do no harm.
Status sort_by(Runtime& rt, const std::vector<Value>& keys, bool reverse, std::vector<size_t>& order) {
  std::vector<size_t> other(order.size());
  for (size_t width = 1; width < order.size(); width *= 2) {
    for (size_t begin = 0; begin < order.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, order.size()), end = std::min(begin + 2 * width, order.size());
      size_t left = begin, right = middle;
      for (size_t out = begin; out < end; ++out) {
        bool take_right = left == middle;
        if (left < middle && right < end) {
          const Value &l = keys[order[left]], &r = keys[order[right]];
          KL_ASSIGN(take_right, reverse ? less(rt, l, r) : less(rt, r, l));
        }
        other[out] = take_right ? order[right++] : order[left++];
      }
    }
    order.swap(other);
  }
  return {};
}

}  // namespace kl::jinja
