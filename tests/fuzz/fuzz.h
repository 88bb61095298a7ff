// Shared by the fuzz targets. A target ends the process (trap) when a promise is broken; everything else the sanitizers see.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

// Holds in every build: the targets are built with optimisation.
inline void promise(bool holds) {
  if (!holds) __builtin_trap();
}

// A copy in a block of exactly its size, so that one byte read past it is seen.
struct Exact {
  explicit Exact(std::span<const uint8_t> input) : bytes(new std::byte[input.size()]), size(input.size()) {
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(input[i]);
  }
  std::span<const std::byte> span() const { return {bytes.get(), size}; }
  std::unique_ptr<std::byte[]> bytes;
  size_t size;
};

// The input as fields: a length byte before each text, numbers as bytes; what is missing is empty or 0.
class Fields {
 public:
  explicit Fields(std::span<const uint8_t> input) : rest_(input) {}
  bool empty() const { return rest_.empty(); }
  uint8_t byte() {
    if (rest_.empty()) return 0;
    const uint8_t value = rest_[0];
    rest_ = rest_.subspan(1);
    return value;
  }
  std::string_view text() { return take(byte()); }
  std::string_view rest() { return take(rest_.size()); }
  // Up to the first 0, which is taken as well.
  std::string_view until_zero() {
    size_t size = 0;
    while (size < rest_.size() && rest_[size] != 0) ++size;
    const std::string_view out = take(size);
    byte();
    return out;
  }

 private:
  std::string_view take(size_t size) {
    if (size > rest_.size()) size = rest_.size();
    const std::string_view out(reinterpret_cast<const char*>(rest_.data()), size);
    rest_ = rest_.subspan(size);
    return out;
  }
  std::span<const uint8_t> rest_;
};
