// Tensor cores: mma.sync over a warp. Fragments as in the PTX ISA (tests/cuda_host/tensor_core.h writes them out); weights lie in memory in the order of A.
#pragma once
#include "cuda/common/kernel.cuh"

#if !defined(__CUDACC__)
#include "cuda_host/tensor_core.h"
#endif

namespace kl::cuda {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800

// Compiled, so that one source serves all architectures; a predicate that looks at Gpu::architecture keeps such kernels from being launched here.
KL_DEVICE void mma_m16n8k16_f16(float (&)[4], const uint32_t (&)[4], const uint32_t (&)[2]) { __trap(); }
KL_DEVICE void mma_m16n8k32_s8(int32_t (&)[4], const uint32_t (&)[4], const uint32_t (&)[2]) { __trap(); }
KL_DEVICE void mma_m16n8k16_s8(int32_t (&)[4], const uint32_t (&)[2], const uint32_t (&)[1]) { __trap(); }

#elif defined(__CUDACC__)

// c += A B: A 16 x 16, B 16 x 8 of binary16, c float32. From sm_80 on.
KL_DEVICE void mma_m16n8k16_f16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// c += A B: A 16 x 32, B 32 x 8 of signed bytes, c int32: exact. From sm_80 on.
KL_DEVICE void mma_m16n8k32_s8(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// The same over 16 of K: half a block, for formats whose scales cover 16 weights.
KL_DEVICE void mma_m16n8k16_s8(int32_t (&c)[4], const uint32_t (&a)[2], const uint32_t (&b)[1]) {
  asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}

#else

inline void mma_m16n8k16_f16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                             cuda_host::Site site = cuda_host::Site::current()) {
  cuda_host::mma_f16(c, a, b, site);
}
inline void mma_m16n8k32_s8(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                            cuda_host::Site site = cuda_host::Site::current()) {
  cuda_host::mma_s8<2>(c, a, b, site);
}
inline void mma_m16n8k16_s8(int32_t (&c)[4], const uint32_t (&a)[2], const uint32_t (&b)[1],
                            cuda_host::Site site = cuda_host::Site::current()) {
  cuda_host::mma_s8<1>(c, a, b, site);
}

#endif

}  // namespace kl::cuda
