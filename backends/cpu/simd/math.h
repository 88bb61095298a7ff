// exp, sigmoid, tanh and the activations over lanes: polynomials of our own in a fixed order of fmas, so that every instruction set, row count and
// thread gives the same bits. Coefficients: Lawson-weighted minimax fits of the relative error (the op suite bounds what they are used in).
#pragma once
#include "cpu/simd/common.h"
#include "ir/op.h"

namespace kl::cpu {
namespace {

// e^x, relative error below 1.5e-7 for x in [-87.33, 88]; x is clamped to that range (so e^-inf is 1.2e-38, not 0). NaN gives an end of the range.
template <class S>
KL_INLINE typename S::F exp(typename S::F x) {
  x = S::min(S::max(x, S::set(-87.33f)), S::set(88.0f));
  const auto n = S::round(x * S::set(1.44269504f));
  const auto nf = S::to_float(n);
  auto r = S::fma(nf, S::set(-0.693359375f), x);  // ln 2 in two parts; the first has few bits, so that the product is exact
  r = S::fma(nf, S::set(2.12194440e-4f), r);
  auto q = S::set(0.0013814599f);
  q = S::fma(q, r, S::set(0.008368717f));
  q = S::fma(q, r, S::set(0.04166839f));
  q = S::fma(q, r, S::set(0.16666521f));
  q = S::fma(q, r, S::set(0.49999994f));
  const auto e = S::fma(r * r, q, r) + S::set(1.0f);
  return e * S::from_bits(S::template shift_left<23>(S::add_int(n, S::set_int(127))));
}

// 1 / (1 + e^-x), relative error below 4e-7 for x >= -87.
template <class S>
KL_INLINE typename S::F sigmoid(typename S::F x) {
  return S::divide(S::set(1.0f), S::set(1.0f) + exp<S>(S::set(0.0f) - x));
}

// tanh x, absolute error below 2e-7; below |x| = 0.25 the relative error is below 3e-7 as well (a series there).
template <class S>
KL_INLINE typename S::F tanh(typename S::F x) {
  const auto e = exp<S>(S::set(2.0f) * S::min(S::abs(x), S::set(20.0f)));
  const auto large = S::set(1.0f) - S::divide(S::set(2.0f), e + S::set(1.0f));
  const auto signed_large = S::select_less(x, S::set(0.0f), S::set(0.0f) - large, large);
  const auto u = x * x;
  auto p = S::set(-0.00886323529f);  // Taylor coefficients of tanh: -1382/155925, 62/2835, -17/315, 2/15, -1/3
  p = S::fma(p, u, S::set(0.0218694885f));
  p = S::fma(p, u, S::set(-0.0539682540f));
  p = S::fma(p, u, S::set(0.133333333f));
  p = S::fma(p, u, S::set(-0.333333333f));
  const auto small = S::fma(x * u, p, x);
  return S::select_less(S::abs(x), S::set(0.25f), small, signed_large);
}

// The normal distribution function (1 + erf(x / sqrt 2)) / 2, absolute error below 1.5e-7.
template <class S>
KL_INLINE typename S::F normal_cdf(typename S::F x) {
  const auto z = S::min(S::abs(x), S::set(13.0f)) * S::set(0.707106781f);
  const auto t = S::divide(S::set(1.0f), S::fma(S::set(0.4f), z, S::set(1.0f)));
  auto p = S::set(0.040267576f);  // erfc(z) = e^(-z z) t p(t) on 0 <= z <= 9.5
  p = S::fma(p, t, S::set(-0.13547146f));
  p = S::fma(p, t, S::set(0.07384291f));
  p = S::fma(p, t, S::set(0.09972871f));
  p = S::fma(p, t, S::set(0.07150891f));
  p = S::fma(p, t, S::set(0.19696277f));
  p = S::fma(p, t, S::set(0.20095865f));
  p = S::fma(p, t, S::set(0.2265757f));
  p = S::fma(p, t, S::set(0.2256263f));
  const auto half_tail = S::set(0.5f) * (exp<S>(S::set(0.0f) - z * z) * (t * p));
  return S::select_less(x, S::set(0.0f), half_tail, S::set(1.0f) - half_tail);
}

// silu        x sigmoid(x)
// gelu_quick  x sigmoid(1.702 x)
// gelu_tanh   x (1 + tanh(u)) / 2 = x sigmoid(2 u),  u = sqrt(2 / pi) (x + 0.044715 x^3)
// gelu_erf    x normal_cdf(x)
template <class S>
KL_INLINE typename S::F activate(Activation activation, typename S::F x) {
  switch (activation) {
    case Activation::none:
      break;
    case Activation::silu:
      return x * sigmoid<S>(x);
    case Activation::gelu_quick:
      return x * sigmoid<S>(S::set(1.702f) * x);
    case Activation::gelu_tanh: {
      const auto u2 = S::set(1.595769122f) * S::fma(S::set(0.044715f) * x, x * x, x);
      return x * sigmoid<S>(u2);
    }
    case Activation::gelu_erf:
      return x * normal_cdf<S>(x);
  }
  return x;
}

}  // namespace
}  // namespace kl::cpu
