// Sums of a norm, as norm.cu and the kernels that norm their own inputs take them: lanes, then warps, add in binary trees (partner lane ^ 16, 8, 4, 2, 1).
#pragma once
#include "cuda/common/kernel.cuh"
#include "cuda/kernels/norm.h"

namespace kl::cuda {

constexpr uint32_t kNormWarps = kNormThreads / 32;

KL_DEVICE float warp_sum(float v) {
  KL_UNROLL
  for (int step = 16; step > 0; step /= 2) v = v + __shfl_xor_sync(kFullWarp, v, step);
  return v;
}

// The sum over a block's warps of what `warps` has at place * warp: the same in every lane of the calling warp.
KL_DEVICE float sum_of_warps(SharedPointer<float> warps, uint32_t place) {
  const uint32_t lane = threadIdx.x % 32;
  float v = 0.0f;
  if (lane < kNormWarps) v = warps[lane * place];
  return warp_sum(v);
}

// The block's sum, in every thread. `warps` has a place for each warp.
KL_DEVICE float block_sum(float mine, SharedPointer<float> warps) {
  mine = warp_sum(mine);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = mine;
  __syncthreads();
  const float v = sum_of_warps(warps, 1);
  __syncthreads();
  return v;
}

// What an RMS norm multiplies a row of `width` by, from the sum of its squares.
KL_DEVICE float rms_factor(float squares, uint32_t width, float eps) { return 1.0f / sqrtf(squares / static_cast<float>(width) + eps); }

}  // namespace kl::cuda
