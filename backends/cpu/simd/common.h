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

}  // namespace
}  // namespace kl::cpu
