// sample: the highest logit of each row, ties to the lowest id, what is not a number passed over (-1: nothing else there).   logits [O V] -> out [O 1] int32
//   sample__part   a key for each part of 8192 logits: the number's rank above, what id lacks to 2^32 - 1 below; the largest is the answer    grid (parts, O)
//   sample__join   the largest key of a row                                                                                                  grid (O)
// Maxima of integers: any order gives the same. Bytes: the logits once. Bound: memory bandwidth.
#include "cuda/kernels/sample.h"

#include "cuda/common/kernel.cuh"

namespace kl::cuda {

namespace {

// 0: not a number, which no number's key is.
KL_DEVICE uint64_t key_of(uint32_t bits, uint32_t id) {
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0;
  if (bits == 0x80000000u) bits = 0;  // both zeros are one number
  const uint32_t rank = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<uint64_t>(rank) << 32 | ~id;
}

KL_DEVICE uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

// The block's largest key, right in thread 0.
KL_DEVICE uint64_t block_largest(uint64_t mine, SharedPointer<uint64_t> warps) {
  const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  KL_UNROLL
  for (int step = 16; step > 0; step /= 2) mine = larger(mine, __shfl_xor_sync(kFullWarp, mine, step));
  if (lane == 0) warps[warp] = mine;
  __syncthreads();
  uint64_t all = 0;
  if (threadIdx.x == 0) {
    for (uint32_t w = 0; w < kSampleThreads / 32; ++w) all = larger(all, warps[w]);
  }
  return all;
}

}  // namespace

KL_KERNEL(sample__part, SampleArgs, kSampleThreads) {
  KL_SHARED(uint64_t, warps, kSampleThreads / 32);
  const uint32_t o = blockIdx.y, first = blockIdx.x * kSamplePart;
  if (o >= live_rows(a.rows)) return;
  const uint32_t end = a.width - first < kSamplePart ? a.width : first + kSamplePart;
  const float* row = a.logits + static_cast<uint64_t>(o) * a.width;
  uint64_t best = 0;
  if (a.width % 4 == 0) {
    for (uint32_t i = first + 4 * threadIdx.x; i < end; i += 4 * kSampleThreads) {
      const uint4 four = load_16(row + i);
      best = larger(larger(best, key_of(four.x, i)), key_of(four.y, i + 1));
      best = larger(larger(best, key_of(four.z, i + 2)), key_of(four.w, i + 3));
    }
  } else {
    for (uint32_t i = first + threadIdx.x; i < end; i += kSampleThreads) best = larger(best, key_of(__float_as_uint(row[i]), i));
  }
  best = block_largest(best, warps);
  if (threadIdx.x == 0) a.keys[static_cast<uint64_t>(o) * a.parts + blockIdx.x] = best;
}

KL_KERNEL(sample__join, SampleArgs, kSampleThreads) {
  KL_SHARED(uint64_t, warps, kSampleThreads / 32);
  const uint32_t o = blockIdx.x;
  if (o >= live_rows(a.rows)) return;
  uint64_t best = 0;
  for (uint32_t i = threadIdx.x; i < a.parts; i += kSampleThreads) best = larger(best, a.keys[static_cast<uint64_t>(o) * a.parts + i]);
  best = block_largest(best, warps);
  if (threadIdx.x == 0) a.out[o] = best == 0 ? -1 : static_cast<int32_t>(~static_cast<uint32_t>(best));
}

}  // namespace kl::cuda
