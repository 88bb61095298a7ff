// Errors are values: a code for programs, and a sentence for people that says what was expected, what came, and where.
#pragma once
#include <cstdarg>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace kl {

// The numbers are those of kl_status in kinglet.h and never change.
enum class Code : int {
  ok = 0,
  invalid_argument = 1,  // the caller gave something outside the declared range
  not_found = 2,         // a file, key or name does not exist
  io_error = 3,          // the operating system refused a read or write
  corrupt = 4,           // a file breaks its own format
  unsupported = 5,       // well-formed, but not something this build can do
  out_of_memory = 6,     // the allocator or the app's memory budget refused
  context_full = 7,      // a sequence has no room left
  cancelled = 8,         // stopped by the app
  busy = 9,              // the object is in use by another call
  closed = 10,           // the object was destroyed or shut down
  device_lost = 11,      // the device stopped working
  internal = 12,         // our bug
};

const char* code_name(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::ok; }
  explicit operator bool() const { return ok(); }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error with a place in front: "while loading model.gguf: ...".
  Status at(std::string_view where) const { return ok() ? *this : Status(code_, std::string(where) + ": " + message_); }

 private:
  Code code_ = Code::ok;
  std::string message_;
};

// error(Code::corrupt, "tensor \"%s\" has %u dimensions, at most 4 are allowed", ...): printf formats, checked by the compiler.
[[gnu::format(printf, 2, 3)]] Status error(Code code, const char* format, ...);
// The same formatting for reasons and log lines.
[[gnu::format(printf, 1, 2)]] std::string format(const char* format, ...);
// 71303168 -> "71,303,168": sizes in messages are read by people.
std::string with_commas(unsigned long long number);

// A value or the error that prevented it.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : held_(std::in_place_index<1>, std::move(status)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return held_.index() == 0; }
  explicit operator bool() const { return ok(); }
  // Precondition of the accessors: ok().
  T& value() & { return *std::get_if<0>(&held_); }
  const T& value() const& { return *std::get_if<0>(&held_); }
  T&& value() && { return std::move(*std::get_if<0>(&held_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return std::get_if<0>(&held_); }
  const T* operator->() const { return std::get_if<0>(&held_); }
  Status status() const { return ok() ? Status() : *std::get_if<1>(&held_); }

 private:
  std::variant<T, Status> held_;
};

}  // namespace kl

// KL_TRY(expression): returns the Status from the enclosing function when it is an error.
#define KL_TRY(expression)                                                                    \
  do {                                                                                        \
    if (::kl::Status kl_try_status = (expression); !kl_try_status.ok()) return kl_try_status; \
  } while (false)

// KL_ASSIGN(declaration, expression): the value of a Result, or return its error.
#define KL_CONCAT_INNER(a, b) a##b
#define KL_CONCAT(a, b) KL_CONCAT_INNER(a, b)
#define KL_ASSIGN(declaration, expression)                                                    \
  auto KL_CONCAT(kl_result_, __LINE__) = (expression);                                        \
  if (!KL_CONCAT(kl_result_, __LINE__).ok()) return KL_CONCAT(kl_result_, __LINE__).status(); \
  declaration = std::move(*KL_CONCAT(kl_result_, __LINE__))
