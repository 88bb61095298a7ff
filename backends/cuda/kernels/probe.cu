// What a card costs before it computes anything: measurements (tests/gpu_bench) are read against these.
//   probe__read    goes through memory once: the read bandwidth that a kernel bound by memory can have      from [count] x 16 bytes, any grid
//   probe__empty   does nothing: what a launch costs, and what waiting for the one before costs
#include "cuda/kernels/probe.h"

#include "cuda/common/kernel.cuh"

namespace kl::cuda {

KL_KERNEL(probe__read, ProbeArgs, kProbeThreads) {
  KL_SHARED(uint32_t, warps, kProbeThreads / 32);
  const uint64_t stride = static_cast<uint64_t>(gridDim.x) * kProbeThreads;
  const auto* from = static_cast<const unsigned char*>(a.from);
  uint32_t all = 0;
  for (uint64_t at = static_cast<uint64_t>(blockIdx.x) * kProbeThreads + threadIdx.x; at < a.count; at += kProbeVectors * stride) {
    KL_UNROLL
    for (uint32_t i = 0; i < kProbeVectors; ++i) {
      if (at + i * stride >= a.count) break;
      const uint4 v = load_16(from + (at + i * stride) * 16);
      all ^= v.x ^ v.y ^ v.z ^ v.w;
    }
  }
  KL_UNROLL
  for (int step = 16; step > 0; step /= 2) all ^= __shfl_xor_sync(kFullWarp, all, step);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = all;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (uint32_t w = 1; w < kProbeThreads / 32; ++w) all ^= warps[w];
  a.out[blockIdx.x] = all;
}

KL_KERNEL(probe__empty, ProbeArgs, kProbeThreads) {
  if (a.out != nullptr && threadIdx.x == 0) a.out[blockIdx.x] = 1;
}

}  // namespace kl::cuda
