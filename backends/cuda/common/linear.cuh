// What all linear kernels share: the order of their sums, and what becomes of a sum.
//
//   y[t][n] = sum over k of w[n][k] x[t][k] (+ bias[n]) (+ residual[t][n]);  with a second matrix: act(x w') * (x up')      x [T K]  w [N K] -> y [T N]
//
// Order, a function of K alone. K is cut into blocks of 32 weights, two to a tile of 64; tile i belongs to chain i % 8. A chain adds its blocks in ascending order:
//   float32 inputs   a block is (p0 + p1) + (p2 + p3), p_q = fma over weights 4q .. 4q+3, 16+4q .. 16+4q+3, from 0; chain = chain + block
//   8-bit inputs     a block's dot = sum of code * q, an exact integer (q6_k: of half_scale * code * q; below 2^24), s the inputs' scale, S = s * float(sum q):
//                    formats with a minimum: chain = fma(minimum, S, chain); then chain = fma(float(dot), scale * s, chain)
// and the row's sum is ((chain 0 + chain 1) + chain 2) + ... + chain 7. Decode gives a warp to each chain; prefill walks one chain after the other. Both have the same
// bits, whatever rows share the step.
#pragma once
#include "cuda/common/activate.cuh"
#include "cuda/common/weights.cuh"
#include "cuda/kernels/linear.h"

namespace kl::cuda {

constexpr uint32_t kChains = kLinearChains;

// Output n of row t once its sums are complete.
KL_DEVICE void finish(const LinearArgs& a, uint32_t t, uint32_t n, float sum, float up) {
  const uint64_t place = static_cast<uint64_t>(t) * a.w.n + n;
  if (a.bias != nullptr) sum += a.bias[n];
  if (a.up.data != nullptr) sum = activate(a.activation, sum) * up;
  if (a.residual != nullptr) sum = a.residual[place] + sum;
  a.y[place] = sum;
}

}  // namespace kl::cuda
