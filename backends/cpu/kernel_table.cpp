#include "cpu/kernel_table.h"

#include "cpu/ops/ops.h"

namespace kl::cpu {

// Best first. The reference rows at the end run what no SIMD row takes (quantized weights with float32 activations, say): slow, and the plan says so.
std::span<const CpuKernel> fast_kernels() {
  static const CpuKernel kTable[] = {
      kNormQkvRopeQ8,
      kNormQkvRopeF32,
      kNormGateUpQ8,
      kNormGateUpF32,
      kSelectNormHeadQ8,
      kSelectNormHeadF32,
      kNormLinearQ8,
      kNormLinearF32,
      kLinearResidualQ8,
      kLinearResidualF32,
      kLinearQ8,
      kLinearF32,
      kAttention,
      kDenseAttention,
      kPatchify,
      kPool,
      kGatherRows,
      kNorm,
      kNormAdd,
      kActivate,
      kAdd,
      kSelectRows,
      kSample,
      kRope,
      kKvWrite,
      kReferenceLinear,
  };
  return kTable;
}

std::span<const CpuKernel> reference_kernels() {
  static const CpuKernel kTable[] = {
      kReferenceGatherRows, kReferencePatchify,   kReferencePool,    kReferenceDenseAttention, kReferenceNorm,
      kReferenceLinear,     kReferenceRope,       kReferenceKvWrite, kReferenceAttention,      kReferenceActivate,
      kReferenceAdd,        kReferenceSelectRows, kReferenceSample,
  };
  return kTable;
}

}  // namespace kl::cpu
