// The tests behind `is`.
#include "text/jinja/filters.h"
#include "text/jinja/objects.h"
#include "text/jinja/ops.h"

namespace kl::jinja {
namespace {

Result<bool> modulo(Runtime& rt, const Value& v, int64_t by, int64_t wanted) {
  KL_ASSIGN(const Value rest, binary(rt, Op::mod, v, Value::integer(by)));
  return equal(rt, rest, Value::integer(wanted));
}
Result<bool> odd_t(Runtime& rt, const Value& v, const Bound&) { return modulo(rt, v, 2, 1); }
Result<bool> even_t(Runtime& rt, const Value& v, const Bound&) { return modulo(rt, v, 2, 0); }
Result<bool> divisibleby_t(Runtime& rt, const Value& v, const Bound& a) {
  KL_ASSIGN(const Value rest, binary(rt, Op::mod, v, *a[0]));
  return equal(rt, rest, Value::integer(0));
}
Result<bool> defined_t(Runtime&, const Value& v, const Bound&) { return !v.is_undefined(); }
Result<bool> undefined_t(Runtime&, const Value& v, const Bound&) { return v.is_undefined(); }
Result<bool> filter_t(Runtime&, const Value& v, const Bound&) { return v.is_string() && find_filter(v.str().text()) != nullptr; }
Result<bool> test_t(Runtime&, const Value& v, const Bound&) { return v.is_string() && find_test(v.str().text()) != nullptr; }
Result<bool> none_t(Runtime&, const Value& v, const Bound&) { return v.is_none(); }
Result<bool> boolean_t(Runtime&, const Value& v, const Bound&) { return v.is(Kind::boolean); }
Result<bool> false_t(Runtime&, const Value& v, const Bound&) { return v.is(Kind::boolean) && !v.as_bool(); }
Result<bool> true_t(Runtime&, const Value& v, const Bound&) { return v.is(Kind::boolean) && v.as_bool(); }
Result<bool> integer_t(Runtime&, const Value& v, const Bound&) { return v.is(Kind::integer); }
Result<bool> float_t(Runtime&, const Value& v, const Bound&) { return v.is(Kind::real); }
Result<bool> number_t(Runtime&, const Value& v, const Bound&) { return v.is_number(); }
Result<bool> string_t(Runtime&, const Value& v, const Bound&) { return v.is_string(); }
Result<bool> mapping_t(Runtime&, const Value& v, const Bound&) { return v.is(Kind::dict); }
// Whatever has a length and items: also what is undefined, as in Jinja2.
Result<bool> sequence_t(Runtime&, const Value& v, const Bound&) {
  return v.is_string() || v.is(Kind::dict) || v.is_undefined() || (v.is(Kind::sequence) && v.seq().indexable());
}
Result<bool> iterable_t(Runtime&, const Value& v, const Bound&) {
  return v.is_string() || v.is(Kind::dict) || v.is_undefined() || v.is(Kind::sequence) ||
         (v.is(Kind::object) && v.object().type == Object::Type::loop);
}
Result<bool> callable_t(Runtime&, const Value& v, const Bound&) {
  return v.is_undefined() || (v.is(Kind::object) && v.object().type != Object::Type::cycler);
}
Result<bool> sameas_t(Runtime&, const Value& v, const Bound& a) { return v.same(*a[0]); }
Result<bool> escaped_t(Runtime&, const Value& v, const Bound&) { return v.is_string() && v.str().markup(); }
Result<bool> in_t(Runtime& rt, const Value& v, const Bound& a) { return contains(rt, *a[0], v); }

Result<bool> cased(Runtime& rt, const Value& v, const char* method) {
  KL_ASSIGN(const Value s, rt.str(v));
  const Args none;
  KL_ASSIGN(const Bound bound, bind_args(method, {}, none));
  KL_ASSIGN(const Value yes, find_method(s, method)->apply(rt, s, bound));
  return yes.as_bool();
}
Result<bool> lower_t(Runtime& rt, const Value& v, const Bound&) { return cased(rt, v, "islower"); }
Result<bool> upper_t(Runtime& rt, const Value& v, const Bound&) { return cased(rt, v, "isupper"); }

template <Op op>
Result<bool> compare_t(Runtime& rt, const Value& v, const Bound& a) {
  return compare(rt, op, v, *a[0]);
}

constexpr TestEntry kTests[] = {
    {"odd", {}, odd_t},
    {"even", {}, even_t},
    {"divisibleby", {"num"}, divisibleby_t},
    {"defined", {}, defined_t},
    {"undefined", {}, undefined_t},
    {"filter", {}, filter_t},
    {"test", {}, test_t},
    {"none", {}, none_t},
    {"boolean", {}, boolean_t},
    {"false", {}, false_t},
    {"true", {}, true_t},
    {"integer", {}, integer_t},
    {"float", {}, float_t},
    {"lower", {}, lower_t},
    {"upper", {}, upper_t},
    {"string", {}, string_t},
    {"mapping", {}, mapping_t},
    {"number", {}, number_t},
    {"sequence", {}, sequence_t},
    {"iterable", {}, iterable_t},
    {"callable", {}, callable_t},
    {"sameas", {"other"}, sameas_t},
    {"escaped", {}, escaped_t},
    {"in", {"seq"}, in_t},
    {"==", {"other"}, compare_t<Op::eq>},
    {"eq", {"other"}, compare_t<Op::eq>},
    {"equalto", {"other"}, compare_t<Op::eq>},
    {"!=", {"other"}, compare_t<Op::ne>},
    {"ne", {"other"}, compare_t<Op::ne>},
    {">", {"other"}, compare_t<Op::gt>},
    {"gt", {"other"}, compare_t<Op::gt>},
    {"greaterthan", {"other"}, compare_t<Op::gt>},
    {">=", {"other"}, compare_t<Op::ge>},
    {"ge", {"other"}, compare_t<Op::ge>},
    {"<", {"other"}, compare_t<Op::lt>},
    {"lt", {"other"}, compare_t<Op::lt>},
    {"lessthan", {"other"}, compare_t<Op::lt>},
    {"<=", {"other"}, compare_t<Op::le>},
    {"le", {"other"}, compare_t<Op::le>},
};

}  // namespace

std::span<const TestEntry> all_tests() { return kTests; }

}  // namespace kl::jinja
