// A logical device with its one queue: what memory, pipelines and recordings share, and what outlives them. Not thread-safe, like the Device above it.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "vulkan/instance.h"

namespace kl::vulkan {

// What a buffer offset must be a multiple of: the largest value that a driver may ask for.
inline constexpr uint64_t kBufferAlignment = 256;

class Context {
 public:
  static constexpr uint32_t kTickets = 8;  // out at once, at most

  // without: bits of `feature` to leave unused; emulated: VulkanOptions::emulated_matrix.
  static Result<std::shared_ptr<Context>> open(std::shared_ptr<Instance> instance, uint32_t device, uint32_t without = 0,
                                               const MatrixShape& emulated = {});
  Context() = default;
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const Instance& instance() const { return *instance_; }
  const PhysicalDevice& physical() const { return *physical_; }
  const Capabilities& capabilities() const { return capabilities_; }  // those in use
  VkDevice device() const { return device_; }
  const VolkDeviceTable& vk() const { return vk_; }
  const VkPhysicalDeviceLimits& limits() const { return physical_->properties.limits; }

  // ok, or the error a result means. VK_ERROR_DEVICE_LOST poisons the context.
  Status check(VkResult result, const char* call);
  // ok, or why this device is not used any more.
  const Status& lost() const { return lost_; }
  // The work of a poisoned context may still run: what it uses is left where it is instead of being freed under it.
  bool abandoned() const { return abandoned_; }

  Result<std::vector<VkCommandBuffer>> command_buffers(uint32_t count);
  void free_command_buffers(const std::vector<VkCommandBuffer>& buffers);

  // Queues command buffers in order. ticketed: wait() may be asked for them, and for all before them; else 0. Errors: device_lost, busy (too many
  // tickets are out).
  Result<uint64_t> submit(std::span<const VkCommandBuffer> buffers, bool ticketed);
  // Not submitted: internal. A wait that times out poisons: the device is abandoned and never waited for again.
  Status wait(uint64_t ticket, std::chrono::milliseconds timeout);
  // Records, submits and waits: copies.
  Status run_now(const std::function<void(VkCommandBuffer)>& record);

 private:
  struct Slot {
    VkFence fence = VK_NULL_HANDLE;
    uint64_t ticket = 0;  // 0: free
  };
  Status start();

  std::shared_ptr<Instance> instance_;
  const PhysicalDevice* physical_ = nullptr;
  Capabilities capabilities_;
  VkDevice device_ = VK_NULL_HANDLE;
  VolkDeviceTable vk_{};
  VkQueue queue_ = VK_NULL_HANDLE;
  VkCommandPool pool_ = VK_NULL_HANDLE;
  VkCommandBuffer copies_ = VK_NULL_HANDLE;
  Slot slots_[kTickets];
  uint64_t next_ticket_ = 1;
  Status lost_;
  bool abandoned_ = false;
};

}  // namespace kl::vulkan
