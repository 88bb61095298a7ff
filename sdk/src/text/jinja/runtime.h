// What filters, tests, functions and methods work with: the budget, the making of values, and the value operations of Python. Knows nothing of templates.
// One rendering, one thread.
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"
#include "text/jinja/strftime.h"
#include "text/jinja/value.h"

namespace kl::jinja {

struct Args {
  struct Named {
    Named(std::string n, Value v, bool t = true) : first(std::move(n)), second(std::move(v)), trusted(t) {}
    std::string first;
    Value second;
    bool trusted;  // of the name: **kwargs may bring names from content
  };
  std::vector<Value> plain;
  std::vector<Named> named;
};

class Runtime {
 public:
  Runtime(const Limits& limits, std::optional<CivilTime> now) : budget_(limits), now_(now) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  virtual ~Runtime();

  // Macros, functions and methods of templates. Errors: not callable, wrong arguments, whatever the callee fails with.
  virtual Result<Value> call(const Value& callee, const Args& args) = 0;

  // Counts work; the error when the step limit is reached.
  Status tick(uint64_t steps = 1);
  Status tick_bytes(size_t bytes) { return tick(bytes / 64); }
  const Limits& limits() const { return budget_.limits(); }
  const std::optional<CivilTime>& now() const { return now_; }

  // Making values: charged to the budget; errors are its limits.
  StrBuilder builder() const { return StrBuilder(limits().output_bytes); }
  Result<Value> text(StrBuilder&& built, bool markup = false);
  Result<Value> text(std::string_view trusted);
  Result<Value> part(const Value& string, size_t begin, size_t end);  // bytes [begin, end) of a string, keeps its markup
  Result<Value> seq(SeqKind kind, std::vector<Value> items, bool group = false);
  Result<Value> list(std::vector<Value> items) { return seq(SeqKind::list, std::move(items)); }
  Result<Value> pair(Value a, Value b, bool group = false);  // a tuple of two
  Result<Value> range(int64_t start, int64_t stop, int64_t step);
  Result<Value> dict(Dict&& built);
  Result<Value> object(std::shared_ptr<Object> made, size_t bytes);
  Result<Namespace*> space();
  Status space_grew();  // a namespace got one more attribute
  // Refuses `count` elements of `bytes` before they are allocated.
  Status room(uint64_t count, size_t bytes);

  // Python's str() and repr() into a builder, and str() as a value.
  Status str(const Value& value, StrBuilder& out);
  Status repr(const Value& value, StrBuilder& out);
  Result<Value> str(const Value& value);
  // list(value): Python's iteration. Errors: not iterable. Takes what an iterator still holds.
  Result<SeqRef> items(const Value& value);

 protected:
  Budget budget_;  // before everything that is charged to it

 private:
  Status check(const StrBuilder& built) const;

  std::optional<CivilTime> now_;
  std::deque<Namespace> spaces_;
  int repr_depth_ = 0;  // namespaces being printed inside each other
};

// "'x' is undefined": what using an undefined value fails with.
Status undefined_error(const Value& value);
// An int argument (booleans count). Errors name the callee and the argument.
Result<int64_t> want_int(const Value& value, const char* what);
Result<const Str*> want_str(const Value& value, const char* what);
// repr() of a float: the shortest digits that read back as the same number.
std::string float_repr(double d);

}  // namespace kl::jinja
