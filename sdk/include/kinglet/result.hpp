// Errors as values, and the owner of a C handle. Part of <kinglet/kinglet.hpp>.
#pragma once
#include <kinglet/base.h>

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace kinglet {

enum class Code : int {
  ok = KL_OK,
  invalid_argument = KL_INVALID_ARGUMENT,
  not_found = KL_NOT_FOUND,
  io_error = KL_IO_ERROR,
  corrupt = KL_CORRUPT,
  unsupported = KL_UNSUPPORTED,
  out_of_memory = KL_OUT_OF_MEMORY,
  context_full = KL_CONTEXT_FULL,
  cancelled = KL_CANCELLED,
  busy = KL_BUSY,
  closed = KL_CLOSED,
  device_lost = KL_DEVICE_LOST,
  internal = KL_INTERNAL
};

struct Error {
  Code code = Code::ok;
  std::string message;  // what was expected, what came, where
};

// A value, or the error that prevented it. Precondition of * and ->: it is a value; of error(): it is not.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  explicit operator bool() const { return held_.index() == 0; }
  T& operator*() & { return *std::get_if<0>(&held_); }
  const T& operator*() const& { return *std::get_if<0>(&held_); }
  T&& operator*() && { return std::move(*std::get_if<0>(&held_)); }
  T* operator->() { return std::get_if<0>(&held_); }
  const T* operator->() const { return std::get_if<0>(&held_); }
  const Error& error() const { return *std::get_if<1>(&held_); }

 private:
  std::variant<T, Error> held_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)
  explicit operator bool() const { return !error_.has_value(); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

namespace detail {

// The last error of this thread.
inline Error last_error(kl_status status) { return {static_cast<Code>(status), kl_last_error()}; }

inline Result<void> done(kl_status status) {
  if (status != KL_OK) return last_error(status);
  return {};
}

// A struct of the C header, zero but for its size.
template <class T>
T sized() {
  T value = {};
  value.size = sizeof(T);
  return value;
}

inline const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

// Owns a handle; gives it back once.
template <class T, kl_status (*destroy)(T*)>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T* handle) : handle_(handle) {}
  Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) reset(std::exchange(other.handle_, nullptr));
    return *this;
  }
  ~Handle() { reset(nullptr); }

  T* get() const { return handle_; }

 private:
  void reset(T* handle) {
    if (handle_ != nullptr) destroy(handle_);
    handle_ = handle;
  }
  T* handle_ = nullptr;
};

// Text that a C call handed out.
inline std::string taken(char* text, size_t length) {
  std::string result(text, length);
  kl_free(text);
  return result;
}

}  // namespace detail
}  // namespace kinglet
