// kinglet::Error and kinglet::Expected: a value or what went wrong. Include <kinglet/kinglet.hpp>.
#ifndef KINGLET_EXPECTED_HPP
#define KINGLET_EXPECTED_HPP

#include <kinglet/kinglet.h>

#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace kinglet {

struct Error {
  kl_status code = KL_OK;
  std::string message;  // what was expected, what came, where

  // The last failed call of this thread.
  static Error last(kl_status code) { return {code, kl_last_error()}; }
};

// A value, or the error that came instead. Accessing the value of an error ends the program in a defined way (std::get_if gives null): test first.
template <class T>
class [[nodiscard]] Expected {
 public:
  Expected(T value) : held_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Expected(Error error) : held_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool has_value() const { return held_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& value() & { return *std::get_if<0>(&held_); }
  const T& value() const& { return *std::get_if<0>(&held_); }
  T&& value() && { return std::move(*std::get_if<0>(&held_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return std::get_if<0>(&held_); }
  const T* operator->() const { return std::get_if<0>(&held_); }
  const Error& error() const { return *std::get_if<1>(&held_); }

 private:
  std::variant<T, Error> held_;
};

// Of calls that give nothing.
template <>
class [[nodiscard]] Expected<void> {
 public:
  Expected() = default;
  Expected(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)
  bool has_value() const { return error_.code == KL_OK; }
  explicit operator bool() const { return has_value(); }
  const Error& error() const { return error_; }

 private:
  Error error_;
};

namespace detail {

inline Expected<void> done(kl_status status) {
  if (status == KL_OK) return {};
  return Error::last(status);
}

// Owns a handle of the C boundary.
template <class H, kl_status (*Destroy)(H*)>
class Handle {
 public:
  Handle() = default;
  explicit Handle(H* handle) : handle_(handle) {}
  Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { (void)Destroy(handle_); }
  H* get() const { return handle_; }

 private:
  H* handle_ = nullptr;
};

// A text that a call handed out.
class Text {
 public:
  Text() = default;
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;
  ~Text() { kl_free(data_); }
  char** data() { return &data_; }
  size_t* length() { return &length_; }
  std::string str() const { return data_ ? std::string(data_, length_) : std::string(); }

 private:
  char* data_ = nullptr;
  size_t length_ = 0;
};

template <class T>
T sized() {
  T out{};
  out.size = sizeof out;
  return out;
}

}  // namespace detail
}  // namespace kinglet

#endif
