// The rows of the kernel table, one file per op or family of ops.
#pragma once
#include "cuda/kernel_table.h"

namespace kl::cuda {

// linear.cpp
extern const CudaKernel kLinearMany, kNormLinearMany, kLinearResidualMany, kNormGateUpMany, kSelectNormHeadMany;
extern const CudaKernel kLinearFew, kNormLinearFew, kLinearResidualFew, kNormGateUpFew, kSelectNormHeadFew;
extern const CudaKernel kLinear, kNormLinear, kLinearResidual, kNormGateUp, kSelectNormHead;
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
