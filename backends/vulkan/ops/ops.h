// The rows of the kernel table, one file per op or family of ops.
#pragma once
#include <array>

#include "vulkan/kernel_table.h"

namespace kl::vulkan {

using Products = std::array<VulkanKernel, 3>;  // a row per way to multiply (stages.h), best first

extern const Products kNormQkvRope, kNormGateUp, kSelectNormHead, kNormLinear, kLinearResidual, kLinear;
extern const VulkanKernel kNormAdd, kAttention, kDenseAttention, kGatherRows, kNorm, kRope, kKvWrite, kActivate, kAdd, kSelectRows, kSample,
    kPool, kPatchify;

}  // namespace kl::vulkan
