// The rows of the kernel table, one file per op or family of ops.
#pragma once
#include "cuda/kernel_table.h"

namespace kl::cuda {

// linear.cpp
extern const CudaKernel kLinearMany, kNormLinearMany, kLinearResidualMany, kLinearNormAddMany, kNormGateUpMany, kSelectNormHeadMany;
extern const CudaKernel kLinearFew, kNormLinearFew, kLinearResidualFew, kLinearNormAddFew, kNormGateUpFew, kSelectNormHeadFew;
extern const CudaKernel kLinearEight, kNormLinearEight, kLinearResidualEight, kLinearNormAddEight, kNormGateUpEight, kSelectNormHeadEight;
extern const CudaKernel kLinear, kNormLinear, kLinearResidual, kLinearNormAdd, kNormGateUp, kSelectNormHead;
// rows.cpp
extern const CudaKernel kNorm, kNormAdd, kGatherRows, kActivate, kAdd, kSelectRows;
// rope.cpp
extern const CudaKernel kRope;
// sample.cpp
extern const CudaKernel kSample;
// vision.cpp
extern const CudaKernel kPool, kPatchify;
// norm_qkv_rope.cpp
extern const CudaKernel kNormQkvRope;
// kv_write.cpp
extern const CudaKernel kKvWrite;
// attention.cpp
extern const CudaKernel kAttention, kDenseAttention;

}  // namespace kl::cuda
