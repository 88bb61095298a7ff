// The rows of the kernel table, one file per op or family of ops.
#pragma once
#include "vulkan/kernel_table.h"

namespace kl::vulkan {

extern const VulkanKernel kNormQkvRope, kNormGateUp, kSelectNormHead, kNormLinear, kLinearResidual, kNormAdd, kLinear;
extern const VulkanKernel kAttention, kDenseAttention, kGatherRows, kNorm, kRope, kKvWrite, kActivate, kAdd, kSelectRows, kSample, kPool,
    kPatchify;

}  // namespace kl::vulkan
