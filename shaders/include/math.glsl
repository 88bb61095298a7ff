// exp, division and square roots of our own: float32 products, sums and fmas in a fixed order, and integers. A driver's own may be off by some last bits, each
// driver's by others (Vulkan allows 2.5 ulp for a division), and may depend on the shader around it. Here no product meets a sum, so nothing is left to fuse.
// The text is C++ as well: tests/vulkan/math_test.cpp compiles it and measures the bounds given here.
#ifndef MATH_GLSL
#define MATH_GLSL

// a / b, correctly rounded for normal a, b and quotient, whatever a driver's fma is: Vulkan lets it round its product, and drivers do. The quotient of the
// mantissas is estimated (1 / b by Newton from an estimate that is off by a nineteenth at most) and then settled in integers, where what it leaves is exact.
// A smaller a or quotient counts as 0, a larger quotient is infinite; where a or b is infinite or no number, neither is the result.
float divide(float a, float b) {
  uint a_bits = floatBitsToUint(a), b_bits = floatBitsToUint(b);
  uint m = (a_bits & 0x7fffffu) | 0x800000u, n = (b_bits & 0x7fffffu) | 0x800000u;
  float divisor = uintBitsToFloat(n + 0x3f000000u);  // 1 to below 2
  float r = uintBitsToFloat(0x7ef311c7u - floatBitsToUint(divisor));
  r = fma(r, fma(-divisor, r, 1.0f), r);
  r = fma(r, fma(-divisor, r, 1.0f), r);
  r = fma(r, fma(-divisor, r, 1.0f), r);
  uint shift = m < n ? 24u : 23u;  // so that the quotient has 24 bits
  uint q = uint(uintBitsToFloat(m + 0x3f000000u) * r * (m < n ? 16777216.0f : 8388608.0f));
  int left = int((m << shift) - q * n);  // of 48 bits the lower 32: it is a small multiple of n, for q is off by 3 at most (2 seen)
  for (int i = 0; i < 3; ++i) {
    int step = left < 0 ? -1 : left >= int(n) ? 1 : 0;
    left -= step * int(n);
    q += uint(step);
  }
  q += 2 * left > int(n) ? 1u : 0u;  // there is no tie: it would take a 25th bit of b
  uint a_exponent = (a_bits >> 23) & 255u, b_exponent = (b_bits >> 23) & 255u, sign = (a_bits ^ b_bits) & 0x80000000u;
  int exponent = int(a_exponent) - int(b_exponent) + 150 - int(shift);
  uint result = (uint(exponent) << 23) + (q - 0x800000u);
  result = exponent >= 255 ? 0x7f800000u : result;
  result = exponent <= 0 || a_exponent == 0u ? 0u : result;
  result = a_exponent == 255u || b_exponent == 255u ? 0x7fc00000u : result;
  return uintBitsToFloat(result | sign);
}

// 1 / sqrt(x) for normal x, within 1 ulp, with an fma that rounds its product 1.3.
float inverse_root(float x) {
  float y = uintBitsToFloat(0x5f375a86u - (floatBitsToUint(x) >> 1));
  y = fma(0.5f * y, fma(-x * y, y, 1.0f), y);
  y = fma(0.5f * y, fma(-x * y, y, 1.0f), y);
  return fma(0.5f * y, fma(-x * y, y, 1.0f), y);
}

// e^x within 1.01 ulp from -87.33 to 88, 0 below, e^88 above; NaN stays. 2^n times a polynomial on |r| <= ln(2) / 2, the one of backends/cpu/simd/math.h.
float exp_of(float x) {
  float c = min(max(x, -87.33f), 88.0f);
  float n = roundEven(c * 1.44269504f);
  float r = fma(n, 2.12194440e-4f, fma(n, -0.693359375f, c));  // ln 2 in two parts; the first has few bits, so that its product is exact
  float q = fma(fma(fma(fma(0.0013814599f, r, 0.008368717f), r, 0.04166839f), r, 0.16666521f), r, 0.49999994f);
  float e = fma(r * r, q, r) + 1.0f;
  e = uintBitsToFloat(floatBitsToUint(e) + (uint(int(n)) << 23));
  e = x < -87.33f ? 0.0f : e;
  return (floatBitsToUint(x) & 0x7fffffffu) > 0x7f800000u ? x : e;
}
#endif
