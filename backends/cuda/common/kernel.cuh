// How kernels are written, so that one source is device code and, against tests/cuda_host, checked host code.
//
//   KL_KERNEL(file__variant, Args, threads) { ... a.field ... }   a kernel of at most `threads` threads; its one argument, by value, is `a`
//   KL_KERNEL_BLOCKS(file__variant, Args, threads, blocks)        one that takes no more registers than let a multiprocessor hold so many blocks
//   KL_KERNEL_AHEAD(file__variant, Args, threads, blocks)         one whose body begins ahead of the launch before it, in no more registers than let a multiprocessor
//                                                                 hold so many blocks
//   KL_DEVICE                                                     a function of kernels
//   KL_SHARED(T, name, count)                                     T name[count] in shared memory; T trivial
//   KL_DYNAMIC_SHARED(T, name)                                    what the launch asked for, as T; 16-byte aligned
//   SharedPointer<T>                                              T* into shared memory, for arguments of functions (never &name[i]: name + i)
//   shared_as<U>(p)                                               the same place as U*
//   KL_UNROLL, KL_LOOP                                            before a loop: written out, or never
//
// The rest is CUDA's own: threadIdx and its kin, __syncthreads, __shfl_*_sync, __dp4a, ... Not used, since the emulation lacks it: printf, assert, recursion, textures,
// the address of a shared element, warp intrinsics without _sync.
#pragma once
#include <cstdint>

#include "cuda/common/kernel_args.h"

#if defined(__CUDACC__)

#define KL_DEVICE __device__ __forceinline__
#define KL_UNROLL _Pragma("unroll")
#define KL_LOOP _Pragma("unroll 1")
#define KL_SHARED(TYPE, NAME, COUNT) __shared__ __align__(16) TYPE NAME[COUNT]
#define KL_DYNAMIC_SHARED(TYPE, NAME)          \
  extern __shared__ uint4 kl_dynamic_shared[]; \
  TYPE* const NAME = reinterpret_cast<TYPE*>(kl_dynamic_shared)
#define KL_ENTRY(NAME, ARGS, THREADS, BLOCKS, BEGIN)                                                        \
  static __device__ __forceinline__ void kl_body_##NAME(const ARGS& a);                                     \
  extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) kl_##NAME(const __grid_constant__ ARGS a) { \
    ::kl::cuda::let_the_next_begin();                                                                       \
    BEGIN;                                                                                                  \
    kl_body_##NAME(a);                                                                                      \
  }                                                                                                         \
  static __device__ __forceinline__ void kl_body_##NAME(const ARGS& a)
#define KL_KERNEL_BLOCKS(NAME, ARGS, THREADS, BLOCKS) KL_ENTRY(NAME, ARGS, THREADS, BLOCKS, ::kl::cuda::wait_for_launches_before())
#define KL_KERNEL(NAME, ARGS, THREADS) KL_KERNEL_BLOCKS(NAME, ARGS, THREADS, 1)
#define KL_KERNEL_AHEAD(NAME, ARGS, THREADS, BLOCKS) KL_ENTRY(NAME, ARGS, THREADS, BLOCKS, )

namespace kl::cuda {

template <class T>
using SharedPointer = T*;
template <class U, class T>
KL_DEVICE U* shared_as(T* p) {
  return reinterpret_cast<U*>(p);
}
// A launch may begin before the one before it has ended, where the graph's edge says so (CudaRecording::graph, sm_90 on; else both of these do nothing).
//
// wait_for_launches_before(): what launches before wrote may be read behind it, and what they read may be written. All threads of all blocks call it, those of blocks
// that leave at once too. Why it is right: it returns when the launch before has ended and its writes are in memory. A launch ends when all its threads have, and those have
// waited for the launch before theirs: so all before it have ended, however many had begun. KL_KERNEL waits before the body; the body of a KL_KERNEL_AHEAD reads nothing
// before it waits but its arguments and what no kernel writes, the weights.
//
// let_the_next_begin(): the next launch's blocks may come once all blocks of this one have called it or ended. Every kernel does so first: they all run then, so the next one's
// blocks take only room that is left, load their first weights, and wait.
KL_DEVICE void wait_for_launches_before() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
KL_DEVICE void let_the_next_begin() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// A barrier of `threads` threads (a multiple of 32) under a number of its own, 1 to 15.
KL_DEVICE void named_barrier(uint32_t id, uint32_t threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }

}  // namespace kl::cuda

#else
#include "cuda_host/emulation.h"
#endif

namespace kl::cuda {

constexpr uint32_t kFullWarp = 0xffffffffu;

KL_DEVICE uint32_t live_rows(const RowCount& rows) { return *rows.live / rows.pool; }

KL_DEVICE float fma_of(float a, float b, float c) { return __fmaf_rn(a, b, c); }

// 16 bytes of global memory at an address that is a multiple of 16.
KL_DEVICE uint4 load_16(const void* at) { return *static_cast<const uint4*>(at); }
KL_DEVICE uint2 load_8(const void* at) { return *static_cast<const uint2*>(at); }
KL_DEVICE uint32_t load_4(const void* at) { return *static_cast<const uint32_t*>(at); }

}  // namespace kl::cuda
