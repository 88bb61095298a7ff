// Checked arithmetic (rules R2, R3): every size, offset and address computed from data goes through these.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

namespace kl {

// a + b, a * b: nothing when the result does not fit.
template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_add(T a, T b) {
  T out{};
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}
template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_mul(T a, T b) {
  T out{};
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

// The next multiple of `multiple` (any value but 0), nothing when it does not fit.
template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_round_up(T value, T multiple) {
  const T rest = value % multiple;
  return rest == 0 ? std::optional<T>(value) : checked_add<T>(value, static_cast<T>(multiple - rest));
}

// value as To, nothing when it does not fit.
template <std::integral To, std::integral From>
[[nodiscard]] constexpr std::optional<To> checked_cast(From value) {
  if (value < From{} && std::unsigned_integral<To>) return std::nullopt;
  const To out = static_cast<To>(value);
  if (static_cast<From>(out) != value || (out < To{}) != (value < From{})) return std::nullopt;
  return out;
}

// [offset, offset + size) lies inside [0, end).
[[nodiscard]] constexpr bool range_fits(uint64_t offset, uint64_t size, uint64_t end) { return offset <= end && size <= end - offset; }

// For sizes already known to be small (our own, not from data).
constexpr size_t round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }
constexpr size_t ceil_div(size_t value, size_t divisor) { return (value + divisor - 1) / divisor; }

}  // namespace kl
