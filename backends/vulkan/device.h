// The Vulkan device: one backend for GPUs of every maker, and for CPU drivers in tests.
#pragma once
#include <chrono>
#include <functional>

#include "backend/module.h"
#include "vulkan/capabilities.h"

namespace kl::vulkan {

struct VulkanOptions {
  uint32_t device = 0;         // index among the devices that can run us
  std::string cache_dir = {};  // for compiled pipelines; empty: none is kept
  bool hide_memory = false;    // tests: as if the host could not address device memory, as on a discrete GPU
  std::function<std::chrono::steady_clock::time_point()> clock = std::chrono::steady_clock::now;  // tests: what submissions are measured by
  uint32_t without = 0;  // tests: bits of `feature` (capabilities.h) that are left unused, so that every tier runs where the best one does
  MatrixShape emulated_matrix =
      {};  // tests: the kernel for cooperative matrices of this shape, played without any, where the driver has dot products
  uint32_t tiers_left_out = 0;  // of the device's, the best first
};

// Errors: not_found (no driver, no such device, no tier left), out_of_memory, device_lost.
Result<std::unique_ptr<Device>> open_vulkan(const VulkanOptions& options);
Result<std::vector<BackendDevice>> list_vulkan();

}  // namespace kl::vulkan

// The module's exported function (backend/module.h).
extern "C" const kl::BackendModule* kl_backend_module_vulkan();
