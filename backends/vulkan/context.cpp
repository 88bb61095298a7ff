#include "vulkan/context.h"

#include <algorithm>
#include <new>

namespace kl::vulkan {
namespace {

constexpr std::chrono::milliseconds kCopyTimeout{20000};

}  // namespace

Result<std::shared_ptr<Context>> Context::open(std::shared_ptr<Instance> instance, uint32_t device, uint32_t without,
                                               const MatrixShape& emulated) {
  const size_t count = instance->devices().size();
  if (device >= count)
    return error(Code::not_found, "there %s %zu Vulkan device%s, numbered from 0: there is no number %u", count == 1 ? "is" : "are", count,
                 count == 1 ? "" : "s", device);
  auto context = std::make_shared<Context>();
  context->physical_ = &instance->devices()[device];
  context->capabilities_ = context->physical_->capabilities;
  context->capabilities_.drop(without);
  if (emulated.m != 0) context->capabilities_.emulate(emulated);
  context->instance_ = std::move(instance);
  KL_TRY(context->start());
  return context;
}

Status Context::start() {
  const float priority = 1.0f;
  VkDeviceQueueCreateInfo queue{};
  queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
  queue.queueFamilyIndex = physical_->queue_family;
  queue.queueCount = 1;
  queue.pQueuePriorities = &priority;
  const FeatureChain features(capabilities_);
  std::vector<const char*> extensions = features.extensions();
  if (physical_->has_budget) extensions.push_back(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  VkDeviceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
  info.queueCreateInfoCount = 1;
  info.pQueueCreateInfos = &queue;
  info.pNext = features.next();
  info.enabledExtensionCount = static_cast<uint32_t>(extensions.size());
  info.ppEnabledExtensionNames = extensions.data();
  KL_TRY(check(vkCreateDevice(physical_->handle, &info, nullptr, &device_), "vkCreateDevice"));
  volkLoadDeviceTable(&vk_, device_);
  vk_.vkGetDeviceQueue(device_, physical_->queue_family, 0, &queue_);
  VkCommandPoolCreateInfo pool{};
  pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
  pool.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT;
  pool.queueFamilyIndex = physical_->queue_family;
  KL_TRY(check(vk_.vkCreateCommandPool(device_, &pool, nullptr, &pool_), "vkCreateCommandPool"));
  KL_ASSIGN(const std::vector<VkCommandBuffer> copies, command_buffers(1));
  copies_ = copies[0];
  return {};
}

Context::~Context() {
  if (abandoned_) (void)new (std::nothrow) std::shared_ptr<Instance>(instance_);  // the driver may still be at work: it stays, for good
  if (device_ == VK_NULL_HANDLE || abandoned_) return;
  for (const Slot& slot : slots_) {
    if (slot.fence != VK_NULL_HANDLE) vk_.vkDestroyFence(device_, slot.fence, nullptr);
  }
  if (pool_ != VK_NULL_HANDLE) vk_.vkDestroyCommandPool(device_, pool_, nullptr);
  vk_.vkDestroyDevice(device_, nullptr);
}

Status Context::check(VkResult result, const char* call) {
  if (result == VK_SUCCESS) return {};
  const char* name = physical_->properties.deviceName;
  if (result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY)
    return error(Code::out_of_memory, "%s: %s ran out of %s memory", name, call, result == VK_ERROR_OUT_OF_HOST_MEMORY ? "host" : "device");
  if (result != VK_ERROR_DEVICE_LOST) return error(Code::internal, "%s: %s failed with %d", name, call, static_cast<int>(result));
  if (lost_.ok()) lost_ = error(Code::device_lost, "%s was lost in %s", name, call);
  return lost_;
}

Result<std::vector<VkCommandBuffer>> Context::command_buffers(uint32_t count) {
  std::vector<VkCommandBuffer> buffers(count);
  VkCommandBufferAllocateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
  info.commandPool = pool_;
  info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  info.commandBufferCount = count;
  if (count > 0) KL_TRY(check(vk_.vkAllocateCommandBuffers(device_, &info, buffers.data()), "vkAllocateCommandBuffers"));
  return buffers;
}

void Context::free_command_buffers(const std::vector<VkCommandBuffer>& buffers) {
  if (!buffers.empty() && !abandoned_) vk_.vkFreeCommandBuffers(device_, pool_, static_cast<uint32_t>(buffers.size()), buffers.data());
}

Result<uint64_t> Context::submit(std::span<const VkCommandBuffer> buffers, bool ticketed) {
  KL_TRY(lost_);
  VkSubmitInfo info{};
  info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
  info.commandBufferCount = static_cast<uint32_t>(buffers.size());
  info.pCommandBuffers = buffers.data();
  if (!ticketed) {
    KL_TRY(check(vk_.vkQueueSubmit(queue_, 1, &info, VK_NULL_HANDLE), "vkQueueSubmit"));
    return uint64_t{0};
  }
  Slot* free = std::find_if(std::begin(slots_), std::end(slots_), [](const Slot& s) { return s.ticket == 0; });
  if (free == std::end(slots_)) return error(Code::busy, "%u submissions are not waited for", kTickets);
  if (free->fence == VK_NULL_HANDLE) {  // here, so that a driver which compiles for hardware that is not there can be opened
    VkFenceCreateInfo fence{};
    fence.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO;
    KL_TRY(check(vk_.vkCreateFence(device_, &fence, nullptr, &free->fence), "vkCreateFence"));
  }
  KL_TRY(check(vk_.vkQueueSubmit(queue_, 1, &info, free->fence), "vkQueueSubmit"));
  free->ticket = next_ticket_++;
  return free->ticket;
}

Status Context::wait(uint64_t ticket, std::chrono::milliseconds timeout) {
  KL_TRY(lost_);
  Slot* slot = std::find_if(std::begin(slots_), std::end(slots_), [&](const Slot& s) { return s.ticket == ticket; });
  if (ticket == 0 || slot == std::end(slots_))
    return error(Code::internal, "there is no submission %llu", static_cast<unsigned long long>(ticket));
  const auto nanoseconds = static_cast<uint64_t>(std::chrono::nanoseconds(timeout).count());
  const VkResult result = vk_.vkWaitForFences(device_, 1, &slot->fence, VK_TRUE, nanoseconds);
  if (result == VK_TIMEOUT) {
    abandoned_ = true;
    lost_ = error(Code::device_lost, "%s did not finish within %lld ms and is not used any more", physical_->properties.deviceName,
                  static_cast<long long>(timeout.count()));
    return lost_;
  }
  KL_TRY(check(result, "vkWaitForFences"));
  slot->ticket = 0;
  return check(vk_.vkResetFences(device_, 1, &slot->fence), "vkResetFences");
}

Status Context::run_now(const std::function<void(VkCommandBuffer)>& record) {
  KL_TRY(lost_);
  VkCommandBufferBeginInfo begin{};
  begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
  KL_TRY(check(vk_.vkBeginCommandBuffer(copies_, &begin), "vkBeginCommandBuffer"));
  record(copies_);
  KL_TRY(check(vk_.vkEndCommandBuffer(copies_), "vkEndCommandBuffer"));
  KL_ASSIGN(const uint64_t ticket, submit({&copies_, 1}, true));
  return wait(ticket, kCopyTimeout);
}

}  // namespace kl::vulkan
