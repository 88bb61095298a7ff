// The driver as a whole, and what it says about its devices.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "backend/module.h"
#include "core/status.h"
#include "vulkan/capabilities.h"

namespace kl::vulkan {

struct PhysicalDevice {
  VkPhysicalDevice handle = VK_NULL_HANDLE;
  VkPhysicalDeviceProperties properties{};
  VkPhysicalDeviceMemoryProperties memory{};
  uint8_t driver_uuid[VK_UUID_SIZE] = {}, device_uuid[VK_UUID_SIZE] = {};
  uint64_t max_allocation = 0;  // bytes of one allocation
  uint32_t queue_family = 0;    // one that computes
  bool has_budget = false;      // VK_EXT_memory_budget
  bool unified = false;         // device memory is the host's
  std::string driver;           // its name and version, for people
  Capabilities capabilities;

  // As used with these of its capabilities.
  BackendDevice describe(const Capabilities& used) const;
};

class Instance {
 public:
  // One for the process while anybody holds it. Errors: not_found, saying what is missing.
  static Result<std::shared_ptr<Instance>> get();
  Instance() = default;
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  const std::vector<PhysicalDevice>& devices() const { return devices_; }
  // Bytes free for us in the heap of a memory type, as the driver last counted; its size without VK_EXT_memory_budget.
  uint64_t free_bytes(const PhysicalDevice& device, uint32_t memory_type) const;

 private:
  Status start();
  Status look(VkPhysicalDevice handle);

  VkInstance instance_ = VK_NULL_HANDLE;
  std::vector<PhysicalDevice> devices_;  // those that can run us
};

}  // namespace kl::vulkan
