// The activations of ir/op.h, and the exponential-based functions they need with an absolute error of some 1e-7.
#define ACTIVATION_NONE 0u
#define ACTIVATION_SILU 1u
#define ACTIVATION_GELU_TANH 2u
#define ACTIVATION_GELU_ERF 3u
#define ACTIVATION_GELU_QUICK 4u

float tanh_of(float x) { return 1.0 - 2.0 / (exp(2.0 * min(x, 40.0)) + 1.0); }

// Abramowitz and Stegun 7.1.26: |error| <= 1.5e-7.
// Sums of products are written as fma: SwiftShader fuses them or not as it likes.
float erf_of(float x) {
  float a = abs(x), t = 1.0 / fma(0.3275911, a, 1.0);
  float p = fma(fma(fma(fma(1.061405429, t, -1.453152027), t, 1.421413741), t, -0.284496736), t, 0.254829592) * t;
  float r = fma(-p, exp(-a * a), 1.0);
  return x < 0.0 ? -r : r;
}

float activate(uint kind, float x) {
  if (kind == ACTIVATION_SILU) return x / (1.0 + exp(-x));
  if (kind == ACTIVATION_GELU_TANH) return 0.5 * x * (1.0 + tanh_of(0.7978845608028654 * fma(0.044715 * x * x, x, x)));
  if (kind == ACTIVATION_GELU_ERF) return 0.5 * x * (1.0 + erf_of(x * 0.7071067811865475));
  if (kind == ACTIVATION_GELU_QUICK) return x / (1.0 + exp(-1.702 * x));
  return x;
}
