// What every instruction set's files share. Everything under simd/, kernels/*.h and dot_i8_*.h lives in an unnamed namespace and is compiled once per
// instruction set (isa/<isa>.cpp, with that set's compiler flags): no function of these files may have a name the linker could merge with another's,
// or a machine without AVX could be handed the AVX copy. For the same reason these files call no std:: functions and none of core/'s inline ones.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>

#define KL_INLINE [[gnu::always_inline]] static inline
#define KL_ALWAYS_INLINE __attribute__((always_inline))

namespace kl::cpu {
namespace {

template <int N>
struct Const {
  static constexpr int value = N;
  constexpr operator int() const { return N; }  // NOLINT(google-explicit-constructor)
};

template <class Fn, int... I>
KL_INLINE void unroll_over(Fn& fn, std::integer_sequence<int, I...>) {
  (fn(Const<I>{}), ...);
}
// fn(0), fn(1), ... fn(N - 1), unrolled whatever the optimiser's limits say: arrays indexed by it stay in registers.
template <int N, class Fn>
KL_INLINE void unroll(Fn fn) {
  unroll_over(fn, std::make_integer_sequence<int, N>{});
}

// Loads before it stay before, loads after it after: panels must be read in ascending address order, or the hardware prefetcher loses the stream
// (15-40 % of the bandwidth when the compiler hoisted the scales of a block above its codes).
KL_INLINE void keep_order() { asm volatile("" ::: "memory"); }

// 8 x 16 six-bit numbers -> bytes: 64 bytes of low nibbles (byte 16 (j % 4) + o, low for j < 4), then 32 bytes of upper bits (byte 16 (j % 2) + o,
// bits 2 (j / 2)).
KL_INLINE void unpack_six_portable(const std::byte* from, uint8_t* to) {
  const uint8_t* nibbles = reinterpret_cast<const uint8_t*>(from);
  for (int j = 0; j < 8; ++j) {
    const int nibble_shift = 4 * (j / 4), upper_shift = 2 * (j / 2);
    for (int o = 0; o < 16; ++o) {
      const int low = (nibbles[16 * (j % 4) + o] >> nibble_shift) & 15;
      to[16 * j + o] = static_cast<uint8_t>(low | (((nibbles[64 + 16 * (j % 2) + o] >> upper_shift) & 3) << 4));
    }
  }
}

}  // namespace
}  // namespace kl::cpu
