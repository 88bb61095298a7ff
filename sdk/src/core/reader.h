// The checked reader: every byte of a file's header goes through here, so that each rule about lengths, counts, ranges and memory stands
// once (R1, R2, R3, R5, R8, R9, R11). Integers are little-endian on every host. A failure names the byte offset, the field, what was
// expected and what came; after a failure the position is that of the field which failed.
// Not thread-safe; owns nothing: the bytes must outlive it and the strings it returns.
#pragma once
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/checked.h"
#include "core/status.h"

namespace kl {

// How much memory a reader may still take for tables whose size the data names (R9). Refused before the allocator is asked.
class MemoryBudget {
 public:
  explicit MemoryBudget(uint64_t bytes) : limit_(bytes) {}
  // Charges count x element_bytes. Error out_of_memory: more than is left.
  Status take(const char* field, uint64_t count, uint64_t element_bytes);
  uint64_t taken() const { return taken_; }
  uint64_t left() const { return limit_ - taken_; }

 private:
  uint64_t limit_;
  uint64_t taken_ = 0;
};

// Loads one little-endian number; `from` holds sizeof(T) bytes.
template <class T>
T load_le(const std::byte* from) {
  static_assert(std::is_arithmetic_v<T> && sizeof(T) <= 8);
  if constexpr (std::endian::native == std::endian::little) {
    T value;
    std::memcpy(&value, from, sizeof(T));
    return value;
  } else {
    std::byte swapped[sizeof(T)];
    for (size_t i = 0; i < sizeof(T); ++i) swapped[i] = from[sizeof(T) - 1 - i];
    T value;
    std::memcpy(&value, swapped, sizeof(T));
    return value;
  }
}

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : Reader(bytes, bytes.size()) {}
  // `head` is the beginning of a region of `total` >= head.size() bytes. Checks use total; a read that is inside the region but past the
  // head fails too, and wanted() then says how long the head must be.
  Reader(std::span<const std::byte> head, uint64_t total) : head_(head), total_(total) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return total_ - offset_; }
  // Nonzero after a failure that is not the data's fault: give a head of at least this many bytes and read again.
  uint64_t wanted() const { return wanted_; }

  // One number: u8..u64, i8..i64, f32, f64.
  template <class T>
  Result<T> number(const char* field) {
    const std::byte* at = nullptr;
    if (!claim(sizeof(T), 1, &at)) [[unlikely]]
      return short_of(field, sizeof(T), 1);
    return load_le<T>(at);
  }
  Result<uint8_t> u8(const char* field) { return number<uint8_t>(field); }
  Result<uint16_t> u16(const char* field) { return number<uint16_t>(field); }
  Result<uint32_t> u32(const char* field) { return number<uint32_t>(field); }
  Result<uint64_t> u64(const char* field) { return number<uint64_t>(field); }
  Result<float> f32(const char* field) { return number<float>(field); }
  Result<double> f64(const char* field) { return number<double>(field); }

  // An unsigned number inside [min, max] (R5, R8).
  template <std::unsigned_integral T>
  Result<T> number_in(const char* field, T min, T max) {
    Result<T> value = number<T>(field);
    if (value.ok() && (*value < min || *value > max)) return out_of_range(field, *value, min, max, sizeof(T));
    return value;
  }

  // A u64 count of elements which take at least min_element_bytes each in what follows (R1).
  Result<uint64_t> count(const char* field, uint64_t min_element_bytes);

  // u64 length and that many bytes, min <= length <= max. Views the input.
  Result<std::string_view> string(const char* field, uint64_t min = 0, uint64_t max = UINT64_MAX);
  // Passes over `n` strings, checking each length: a table for them may be allocated when this has succeeded. The position does not move.
  Status walk_strings(const char* field, uint64_t n);

  // n elements of element_bytes each, as bytes.
  Result<std::span<const std::byte>> take(const char* field, uint64_t n, uint64_t element_bytes);

  // n numbers of type From appended to `out` as To (a wider type: no value changes). The caller has charged the budget.
  template <class From, class To>
  Status numbers(const char* field, uint64_t n, std::vector<To>& out) {
    KL_ASSIGN(const std::span<const std::byte> bytes, take(field, n, sizeof(From)));
    out.reserve(out.size() + bytes.size() / sizeof(From));
    for (size_t i = 0; i < bytes.size(); i += sizeof(From)) out.push_back(static_cast<To>(load_le<From>(bytes.data() + i)));
    return {};
  }

  // An error about the field that ends at the current position: "byte 24, <field>: expected <expected>, got <got>".
  Status wrong(const char* field, uint64_t field_bytes, std::string_view expected, std::string_view got) const;

 private:
  // Moves past n x size bytes when they are there; else nothing happens.
  bool claim(uint64_t n, uint64_t size, const std::byte** at) {
    const std::optional<uint64_t> bytes = checked_mul(n, size);
    if (!bytes || *bytes > head_.size() - offset_) return false;
    *at = head_.data() + offset_;
    offset_ += *bytes;
    return true;
  }
  Status short_of(const char* field, uint64_t n, uint64_t size);
  Status out_of_range(const char* field, uint64_t value, uint64_t min, uint64_t max, uint64_t field_bytes);

  std::span<const std::byte> head_;
  uint64_t total_;
  uint64_t offset_ = 0;  // <= head_.size()
  uint64_t wanted_ = 0;
};

// Counts nesting (R11): `DepthGuard guard(depth); KL_TRY(guard.check(...))` at the top of a function that calls itself.
class DepthGuard {
 public:
  explicit DepthGuard(uint32_t& depth) : depth_(depth) { ++depth_; }
  ~DepthGuard() { --depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;
  Status check(const char* field, uint32_t max) const;

 private:
  uint32_t& depth_;
};

}  // namespace kl
