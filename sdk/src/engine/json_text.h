// JSON values of the engine: messages, template variables, metadata. The reader is nlohmann's event parser; the tree is ours, because nlohmann's own allocates
// in its destructor, and an allocation that fails there ends the process.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/status.h"

namespace kl {

// A value; objects keep the order of their keys. Nothing but copying and growing allocates.
class Json {
 public:
  // Not trivially copyable on purpose: with only types that it calls never valueless, libstdc++ 12 visits a variant whose copy has thrown (undefined).
  struct Null {
    Null() = default;
    Null(const Null&) noexcept {}
    Null& operator=(const Null&) noexcept { return *this; }
    ~Null() = default;
  };
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;
  std::variant<Null, bool, int64_t, uint64_t, double, std::string, Array, Object> value;

  Json() = default;
  template <class T>
  explicit Json(T v) : value(std::move(v)) {}
  explicit Json(const char* text) : value(std::string(text)) {}

  bool is_array() const { return std::holds_alternative<Array>(value); }
  bool is_object() const { return std::holds_alternative<Object>(value); }
  const std::string* string() const { return std::get_if<std::string>(&value); }
  // Precondition: is_array(), is_object().
  Array& array() { return *std::get_if<Array>(&value); }
  const Array& array() const { return *std::get_if<Array>(&value); }
  Object& object() { return *std::get_if<Object>(&value); }
  const Object& object() const { return *std::get_if<Object>(&value); }
  const Json* find(std::string_view key) const;  // null: no such member
  void set(std::string_view key, Json member);   // replaces or adds
};

// Errors: invalid_argument (not JSON, naming `what` and the byte), unsupported (nesting over 64).
Result<Json> parse_json(std::string_view text, const char* what);
// Text for the boundary; invalid UTF-8 becomes U+FFFD. Recursion is as deep as the value.
std::string to_text(const Json& json);

}  // namespace kl
