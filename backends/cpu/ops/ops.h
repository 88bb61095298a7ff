// The rows of the CPU kernel tables, one file of ops/ or reference/ each.
#pragma once
#include "cpu/kernel_table.h"

namespace kl::cpu {

extern const CpuKernel kNormQkvRopeQ8, kNormQkvRopeF32, kNormGateUpQ8, kNormGateUpF32, kSelectNormHeadQ8, kSelectNormHeadF32;
extern const CpuKernel kLinearQ8, kLinearF32, kNormLinearQ8, kNormLinearF32, kLinearResidualQ8, kLinearResidualF32;
extern const CpuKernel kAttention, kDenseAttention, kPatchify, kPool, kGatherRows, kNorm, kNormAdd, kActivate, kAdd, kSelectRows, kSample,
    kRope, kKvWrite;

// Scalar, double accumulation, weights as the file has them.
extern const CpuKernel kReferenceGatherRows, kReferencePatchify, kReferencePool, kReferenceDenseAttention, kReferenceNorm, kReferenceLinear,
    kReferenceRope, kReferenceKvWrite, kReferenceAttention, kReferenceActivate, kReferenceAdd, kReferenceSelectRows, kReferenceSample;

}  // namespace kl::cpu
