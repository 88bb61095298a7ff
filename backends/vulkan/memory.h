// Device memory: one buffer and one allocation each (a model makes about five), in the memory type that suits its use and has room.
#pragma once
#include "vulkan/context.h"

namespace kl::vulkan {

// What the host does with memory.
enum class Access : uint8_t {
  device,   // device memory; the host may address it only where it is one memory with the device's, and cached
  upload,   // the host writes, the device reads: device memory that the host can address (a resizable BAR) where there is such
  readback  // the host reads what the device wrote
};

class DeviceMemory final : public Memory {
 public:
  // hide: as on a device whose memory the host cannot address (tests). Errors: out_of_memory, with the sizes.
  static Result<std::unique_ptr<DeviceMemory>> allocate(const std::shared_ptr<Context>& context, uint64_t bytes, Access access, bool hide);
  explicit DeviceMemory(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  ~DeviceMemory() override;
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  uint64_t bytes() const override { return bytes_; }
  std::byte* host() const override { return hidden_ ? nullptr : mapped_; }
  VkBuffer buffer() const { return buffer_; }

 private:
  std::shared_ptr<Context> context_;
  VkBuffer buffer_ = VK_NULL_HANDLE;
  VkDeviceMemory memory_ = VK_NULL_HANDLE;
  uint64_t bytes_ = 0;
  std::byte* mapped_ = nullptr;
  bool hidden_ = false;
};

// Copies in any direction; complete on return. What the host cannot address goes through a staging buffer, piece by piece.
class Copier {
 public:
  static Result<Copier> create(const std::shared_ptr<Context>& context);
  Status copy(const CopyRequest& request);

 private:
  Status between(VkBuffer from, uint64_t from_offset, VkBuffer to, uint64_t to_offset, uint64_t bytes);

  std::shared_ptr<Context> context_;
  std::unique_ptr<DeviceMemory> up_, down_;
};

}  // namespace kl::vulkan
