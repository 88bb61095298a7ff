// Checksums and keys (xxHash). Not for anything an adversary must not be able to forge.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace kl {

uint64_t hash64(std::span<const std::byte> bytes, uint64_t seed = 0);
inline uint64_t hash64(std::string_view text, uint64_t seed = 0) { return hash64(std::as_bytes(std::span(text)), seed); }

struct Hash128 {
  uint64_t low = 0, high = 0;
  bool operator==(const Hash128&) const = default;
  std::string hex() const;  // 32 lower-case digits
};
Hash128 hash128(std::span<const std::byte> bytes);

}  // namespace kl
