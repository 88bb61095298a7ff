// exp, division and square roots of our own: float32 products, sums and fmas in a fixed order, and integers. A driver's own may be off by some last bits, each
// driver's by others (Vulkan allows 2.5 ulp for a division), and may depend on the shader around it. Here no product meets a sum, so nothing is left to fuse.
// The text is C++ as well: tests/vulkan/math_test.cpp compiles it and measures the bounds given here.
#ifndef MATH_GLSL
#define MATH_GLSL

// a / b for b from 2^-126 to below 2^126, correctly rounded while |a| >= 2^-78 (a driver may flush what smaller ones leave over) and the quotient is normal.
// 1 / b is by Newton from an estimate that is off by a nineteenth at most, correctly rounded too; the last line rounds the quotient by what it leaves
// (Markstein, 1990). Infinite a gives no number.
float divide(float a, float b) {
  float r = uintBitsToFloat(0x7ef311c7u - floatBitsToUint(b));
  r = fma(r, fma(-b, r, 1.0f), r);
  r = fma(r, fma(-b, r, 1.0f), r);
  r = fma(r, fma(-b, r, 1.0f), r);
  r = uintBitsToFloat(floatBitsToUint(r) + 1u);  // on from above: from below it ends in a tie, one too low, where all bits of b are ones
  r = fma(r, fma(-b, r, 1.0f), r);
  r = fma(r, fma(-b, r, 1.0f), r);
  float q = a * r;
  return fma(fma(-b, q, a), r, q);
}

// 1 / sqrt(x) for normal x, within 1 ulp.
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
