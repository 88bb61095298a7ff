// The activations of ir/op.h, and the exponential-based functions they need with an absolute error of some 1e-7. No product meets a sum but in an fma: what a
// driver may fuse or not would be other bits in another shader (SwiftShader does so, and marks do not keep it from it).
#include "math.glsl"

#define ACTIVATION_NONE 0u
#define ACTIVATION_SILU 1u
#define ACTIVATION_GELU_TANH 2u
#define ACTIVATION_GELU_ERF 3u
#define ACTIVATION_GELU_QUICK 4u

float tanh_of(float x) { return 1.0 - divide(2.0, exp_of(2.0 * x) + 1.0); }

// Abramowitz and Stegun 7.1.26: |error| <= 1.5e-7.
float erf_of(float x) {
  float a = abs(x), t = divide(1.0, fma(0.3275911, a, 1.0));
  float p = fma(fma(fma(fma(1.061405429, t, -1.453152027), t, 1.421413741), t, -0.284496736), t, 0.254829592) * t;
  float r = fma(-p, exp_of(-a * a), 1.0);
  return x < 0.0 ? -r : r;
}

// x / (1 + e^-z).
float gate(float x, float z) { return divide(x, 1.0 + exp_of(-z)); }

float activate(uint kind, float x) {
  if (kind == ACTIVATION_SILU) return gate(x, x);
  if (kind == ACTIVATION_GELU_TANH) return gate(x, 1.5957691216 * fma(0.044715 * x * x, x, x));  // (1 + tanh u) / 2 = 1 / (1 + e^-2u)
  if (kind == ACTIVATION_GELU_ERF) {
    float h = 0.5 * x;
    return fma(h, erf_of(x * 0.7071067811865475), h);
  }
  if (kind == ACTIVATION_GELU_QUICK) return gate(x, 1.702 * x);
  return x;
}
