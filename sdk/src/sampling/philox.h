// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// A number depends on (seed, stream, position) only, so a token is drawn alike on any thread count, in any batch, after any cache hit.
// Pure functions; any thread.
#pragma once
#include <array>
#include <cstdint>

namespace kl {

constexpr std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  constexpr uint32_t kMultiply[2] = {0xD2511F53u, 0xCD9E8D57u};
  constexpr uint32_t kWeyl[2] = {0x9E3779B9u, 0xBB67AE85u};
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{kMultiply[0]} * counter[0];
    const uint64_t b = uint64_t{kMultiply[1]} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key = {key[0] + kWeyl[0], key[1] + kWeyl[1]};
  }
  return counter;
}

// stream separates draws that share seed and position (parallel samples of one prompt).
constexpr uint64_t random_bits(uint64_t seed, uint32_t stream, uint64_t position) {
  const auto r = philox4x32({static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), stream, 0},
                            {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return uint64_t{r[1]} << 32 | r[0];
}

// Uniform in [0, 1), a multiple of 2^-53.
constexpr double uniform(uint64_t seed, uint32_t stream, uint64_t position) {
  return static_cast<double>(random_bits(seed, stream, position) >> 11) * 0x1p-53;
}

}  // namespace kl
