// The last block of several to come: what they wrote is complete then, and it does what needs all of it, in the same launch. Whichever block that is computes the
// same, so bits do not depend on the order of blocks.
#pragma once
#include "cuda/common/kernel.cuh"

namespace kl::cuda {

// True in the block that is the last of `blocks` to come to `counter`, which all of its threads call: there, what the others wrote before they came may be read.
//
// Why it is right: the block's barrier puts its threads' writes before thread 0's fence; fence, count, fence of two blocks order what the first did before against what
// the second does behind (a counter's values are one order for all of them), and the second barrier hands that on to the last block's threads. It is how
// cooperative groups meet over a grid. No block waits for another one.
//
// atomicInc goes from blocks - 1 back to 0: the counter is as it was when the launch ends, and the next launch of it is ordered behind this one. It is zero at first
// (BindContext::counters), and two launches that may run side by side have counters of their own.
KL_DEVICE bool last_to_arrive(uint32_t* counter, uint32_t blocks, SharedPointer<uint32_t> answer) {
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    answer[0] = atomicInc(counter, blocks - 1) == blocks - 1 ? 1u : 0u;
    __threadfence();
  }
  __syncthreads();
  return answer[0] != 0;
}

}  // namespace kl::cuda
