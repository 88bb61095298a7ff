#include "vulkan/memory.h"

#include <algorithm>
#include <cstring>

#include "backend/transfer.h"
#include "core/checked.h"

namespace kl::vulkan {
namespace {

constexpr uint64_t kStagingBytes = uint64_t{4} << 20;

constexpr VkMemoryPropertyFlags kDevice = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                                kHost = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                                kCached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;

// Wanted properties, best first; a type serves when it has all of a line.
std::vector<VkMemoryPropertyFlags> wishes(Access access, bool unified) {
  switch (access) {
    case Access::device:
      // Over a bus, host reads of device memory crawl: only where memory is one may the host use it directly.
      if (unified) return {kDevice | kHost | kCached, kHost | kCached, kDevice};
      return {kDevice};  // never quietly in host memory: what does not fit is refused
    case Access::upload:
      return {kDevice | kHost, kHost};
    case Access::readback:
      return {kHost | kCached, kHost};
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<DeviceMemory>> DeviceMemory::allocate(const std::shared_ptr<Context>& context, uint64_t bytes, Access access,
                                                             bool hide) {
  const PhysicalDevice& physical = context->physical();
  const VolkDeviceTable& vk = context->vk();
  auto memory = std::make_unique<DeviceMemory>(context);
  memory->bytes_ = bytes;
  memory->hidden_ = hide;
  const std::optional<uint64_t> rounded = checked_round_up<uint64_t>(std::max<uint64_t>(bytes, 1), kBufferAlignment);
  if (!rounded || *rounded > physical.max_allocation) {
    return error(Code::out_of_memory, "%s gives at most %s bytes at once, %s are asked for", physical.properties.deviceName,
                 with_commas(physical.max_allocation).c_str(), with_commas(bytes).c_str());
  }
  VkBufferCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  info.size = *rounded;
  info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT |
               VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT;
  info.sharingMode = VK_SHARING_MODE_EXCLUSIVE;
  KL_TRY(context->check(vk.vkCreateBuffer(context->device(), &info, nullptr, &memory->buffer_), "vkCreateBuffer"));
  VkMemoryRequirements needs{};
  vk.vkGetBufferMemoryRequirements(context->device(), memory->buffer_, &needs);

  uint64_t most = 0;  // free in any heap that would do
  for (const VkMemoryPropertyFlags wish : wishes(access, physical.unified)) {
    for (uint32_t type = 0; type < physical.memory.memoryTypeCount; ++type) {
      const VkMemoryPropertyFlags has = physical.memory.memoryTypes[type].propertyFlags;
      if ((needs.memoryTypeBits >> type & 1u) == 0 || (has & wish) != wish) continue;
      const uint64_t free = context->instance().free_bytes(physical, type);
      most = std::max(most, free);
      if (free < needs.size) continue;
      VkMemoryAllocateInfo allocate{};
      allocate.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
      allocate.allocationSize = needs.size;
      allocate.memoryTypeIndex = type;
      const VkResult result = vk.vkAllocateMemory(context->device(), &allocate, nullptr, &memory->memory_);
      if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY) continue;
      KL_TRY(context->check(result, "vkAllocateMemory"));
      KL_TRY(context->check(vk.vkBindBufferMemory(context->device(), memory->buffer_, memory->memory_, 0), "vkBindBufferMemory"));
      if ((wish & kHost) == kHost) {
        void* mapped = nullptr;
        KL_TRY(context->check(vk.vkMapMemory(context->device(), memory->memory_, 0, VK_WHOLE_SIZE, 0, &mapped), "vkMapMemory"));
        memory->mapped_ = static_cast<std::byte*>(mapped);
      }
      return memory;
    }
  }
  return error(Code::out_of_memory, "%s has %s bytes of memory left for us, %s are asked for", physical.properties.deviceName,
               with_commas(most).c_str(), with_commas(needs.size).c_str());
}

DeviceMemory::~DeviceMemory() {
  if (context_->abandoned()) return;
  const VolkDeviceTable& vk = context_->vk();
  if (buffer_ != VK_NULL_HANDLE) vk.vkDestroyBuffer(context_->device(), buffer_, nullptr);
  if (memory_ != VK_NULL_HANDLE) vk.vkFreeMemory(context_->device(), memory_, nullptr);
}

Result<Copier> Copier::create(const std::shared_ptr<Context>& context) {
  Copier copier;
  copier.context_ = context;
  KL_ASSIGN(copier.up_, DeviceMemory::allocate(context, kStagingBytes, Access::upload, false));
  KL_ASSIGN(copier.down_, DeviceMemory::allocate(context, kStagingBytes, Access::readback, false));
  return copier;
}

Status Copier::between(VkBuffer from, uint64_t from_offset, VkBuffer to, uint64_t to_offset, uint64_t bytes) {
  const VolkDeviceTable& vk = context_->vk();
  return context_->run_now([&](VkCommandBuffer commands) {
    VkMemoryBarrier barrier{};
    barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    barrier.srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT;
    barrier.dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT;
    vk.vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &barrier, 0, nullptr, 0,
                            nullptr);
    const VkBufferCopy region{from_offset, to_offset, bytes};
    vk.vkCmdCopyBuffer(commands, from, to, 1, &region);
    barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
    barrier.dstAccessMask = VK_ACCESS_HOST_READ_BIT;
    vk.vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, nullptr, 0, nullptr);
  });
}

Status Copier::copy(const CopyRequest& r) {
  KL_TRY(context_->lost());
  if (r.bytes == 0) return {};
  KL_ASSIGN(const CopyEnds ends, ends_of(r));
  if (ends.source != nullptr && ends.target != nullptr) {
    std::memmove(ends.target, ends.source, r.bytes);
    return {};
  }
  const auto* from = static_cast<const DeviceMemory*>(r.from);  // every Memory of this device is a DeviceMemory
  const auto* to = static_cast<const DeviceMemory*>(r.to);
  if (from != nullptr && to != nullptr) return between(from->buffer(), r.from_offset, to->buffer(), r.to_offset, r.bytes);
  for (uint64_t done = 0; done < r.bytes; done += kStagingBytes) {
    const uint64_t piece = std::min(kStagingBytes, r.bytes - done);
    if (to != nullptr) {
      std::memcpy(up_->host(), ends.source + done, piece);
      KL_TRY(between(up_->buffer(), 0, to->buffer(), r.to_offset + done, piece));
    } else {
      KL_TRY(between(from->buffer(), r.from_offset + done, down_->buffer(), 0, piece));
      std::memcpy(ends.target + done, down_->host(), piece);
    }
  }
  return {};
}

}  // namespace kl::vulkan
