// The activations of ir/op.h, from exp with an absolute error of some 1e-7.
#pragma once
#include "cuda/common/kernel.cuh"
#include "ir/op.h"

namespace kl::cuda {

KL_DEVICE float tanh_of(float x) { return 1.0f - 2.0f / (expf(2.0f * fminf(x, 40.0f)) + 1.0f); }

// Abramowitz and Stegun 7.1.26: |error| <= 1.5e-7.
KL_DEVICE float erf_of(float x) {
  const float a = fabsf(x), t = 1.0f / fma_of(0.3275911f, a, 1.0f);
  const float p = fma_of(fma_of(fma_of(fma_of(1.061405429f, t, -1.453152027f), t, 1.421413741f), t, -0.284496736f), t, 0.254829592f) * t;
  const float r = fma_of(-p, expf(-a * a), 1.0f);
  return x < 0.0f ? -r : r;
}

KL_DEVICE float activate(Activation kind, float x) {
  if (kind == Activation::silu) return x / (1.0f + expf(-x));
  if (kind == Activation::gelu_tanh) return 0.5f * x * (1.0f + tanh_of(0.7978845608028654f * fma_of(0.044715f * x * x, x, x)));
  if (kind == Activation::gelu_erf) return 0.5f * x * (1.0f + erf_of(x * 0.7071067811865475f));
  if (kind == Activation::gelu_quick) return x / (1.0f + expf(-1.702f * x));
  return x;
}

}  // namespace kl::cuda
