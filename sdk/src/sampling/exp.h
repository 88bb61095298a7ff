// e^x in double precision from IEEE additions and multiplications only: the same bits on every machine, which std::exp does not promise.
#pragma once
#include <bit>
#include <cstdint>

namespace kl {

// x <= 0; error below 2 ulp (measured against long double in tests/sampling). Below -700, -infinity included: exactly 0.
// Branch-free up to the last select, so loops over it vectorize.
inline double portable_exp(double x) {
  constexpr double kLog2E = 0x1.71547652b82fep+0;
  constexpr double kLn2High = 0x1.62e42fee00000p-1,
                   kLn2Low = 0x1.a39ef35793c76p-33;  // high part: 32 trailing zeros, products with n are exact
  constexpr double kRound = 0x1.8p52;                // adding it leaves an integer in the low mantissa bits
  const double clamped = x < -700.0 ? -700.0 : x;
  const double shifted = clamped * kLog2E + kRound;
  const double n = shifted - kRound;
  const double r = (clamped - n * kLn2High) - n * kLn2Low;  // |r| <= ln 2 / 2: the Taylor series needs 13 terms for 2^-53
  double p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  const uint64_t exponent = std::bit_cast<uint64_t>(shifted) << 52;  // n, modulo 2^12, where the exponent field is
  const double scaled = std::bit_cast<double>(std::bit_cast<uint64_t>(p) + exponent);
  return x < -700.0 ? 0.0 : scaled;
}

}  // namespace kl
