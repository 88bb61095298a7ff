// norm: y = norm(x) * gain (+ bias) over each of `parts` equal parts of a row, RMS or layer norm; with a residual, y = residual + that.
//                                                                                                     x [R P*W]  gain, bias [W] -> y [R P*W]
// Order: thread i sums elements i, i + 256, ... by fma; lanes, then warps, add in binary trees (partner lane ^ 16, 8, 4, 2, 1): a function of W alone.
// norm__quantize: RMS norm as above, then what quantize.cu would write of it: the same bits in one launch.
// Grid (P, R). Bytes: x and y once from memory, x again from cache.
#include "cuda/kernels/norm.h"

#include "cuda/common/norm.cuh"
#include "cuda/common/quantize.cuh"

namespace kl::cuda {

KL_KERNEL(norm, NormArgs, kNormThreads) {
  KL_SHARED(float, warps, kNormThreads / 32);
  const uint32_t t = blockIdx.y, part = blockIdx.x, parts = gridDim.x, thread = threadIdx.x;
  if (t >= live_rows(a.rows)) return;
  const uint32_t source = a.selected != nullptr ? a.selected[t] : t;
  const float* x = a.x + (static_cast<uint64_t>(source) * parts + part) * a.width;
  const uint64_t to = (static_cast<uint64_t>(t) * parts + part) * a.width;
  float mean = 0.0f;
  if (a.layer) {
    float sum = 0.0f;
    for (uint32_t i = thread; i < a.width; i += kNormThreads) sum = sum + x[i];
    mean = block_sum(sum, warps) / static_cast<float>(a.width);
  }
  float squares = 0.0f;
  for (uint32_t i = thread; i < a.width; i += kNormThreads) {
    const float d = x[i] - mean;
    squares = fma_of(d, d, squares);
  }
  const float r = rms_factor(block_sum(squares, warps), a.width, a.eps);
  for (uint32_t i = thread; i < a.width; i += kNormThreads) {
    float v = (x[i] - mean) * r;
    if (a.gain != nullptr) v = v * a.gain[i];
    if (a.bias != nullptr) v = v + a.bias[i];
    if (a.residual != nullptr) v = a.residual[to + i] + v;
    a.y[to + i] = v;
  }
}

KL_KERNEL(norm__quantize, NormQuantizeArgs, kNormThreads) {
  KL_SHARED(float, warps, kNormThreads / 32);
  const NormArgs& n = a.norm;
  const uint32_t t = blockIdx.y, thread = threadIdx.x;
  if (t >= live_rows(n.rows)) return;
  const float* x = n.x + static_cast<uint64_t>(n.selected != nullptr ? n.selected[t] : t) * n.width;
  float squares = 0.0f;
  for (uint32_t i = thread; i < n.width; i += kNormThreads) squares = fma_of(x[i], x[i], squares);
  const float r = rms_factor(block_sum(squares, warps), n.width, n.eps);
  for (uint32_t first = 0; first < a.to.tiles * 16; first += kNormThreads) {  // whole warps go round
    const uint32_t at = first + thread, k = 4 * at;
    float v[4] = {0, 0, 0, 0};
    if (k < n.width) {
      const uint4 bits = load_16(x + k), gain = load_16(n.gain + k);
      v[0] = __uint_as_float(bits.x) * r * __uint_as_float(gain.x);
      v[1] = __uint_as_float(bits.y) * r * __uint_as_float(gain.y);
      v[2] = __uint_as_float(bits.z) * r * __uint_as_float(gain.z);
      v[3] = __uint_as_float(bits.w) * r * __uint_as_float(gain.w);
    }
    quantize_four(a.to, t, at, v);
  }
}

}  // namespace kl::cuda
