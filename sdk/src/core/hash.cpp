#include "core/hash.h"

#include <xxhash.h>

#include "core/status.h"

namespace kl {

uint64_t hash64(std::span<const std::byte> bytes, uint64_t seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }

Hash128 hash128(std::span<const std::byte> bytes) {
  const XXH128_hash_t h = XXH3_128bits(bytes.data(), bytes.size());
  return {h.low64, h.high64};
}

std::string Hash128::hex() const {
  return format("%016llx%016llx", static_cast<unsigned long long>(high), static_cast<unsigned long long>(low));
}

}  // namespace kl
