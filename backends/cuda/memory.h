// Device memory: one allocation each (a model makes about five).
#pragma once
#include "cuda/context.h"

namespace kl::cuda {

// What the host does with memory.
enum class Access : uint8_t {
  device,    // nothing but copies
  upload,    // writes; a copy on the device is refreshed from it by refresh(), in stream order
  mapped,    // writes or reads; the device reads and writes it over the bus: data that is touched once
  readback,  // reads what a copy brought
};

class DeviceMemory final : public Memory {
 public:
  // Errors: out_of_memory, with the sizes.
  static Result<std::unique_ptr<DeviceMemory>> allocate(const std::shared_ptr<Context>& context, uint64_t bytes, Access access);
  explicit DeviceMemory(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  ~DeviceMemory() override;
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  uint64_t bytes() const override { return bytes_; }
  std::byte* host() const override { return host_; }
  // Where the device finds it.
  DevicePointer address() const { return address_; }
  // Access::upload: what the host wrote goes to the device behind everything in the stream; the host writes again when it has waited for that.
  Status refresh() const;

 private:
  std::shared_ptr<Context> context_;
  DevicePointer address_ = 0;
  std::byte* host_ = nullptr;
  uint64_t bytes_ = 0;
  bool owns_device_ = false;
};

// Copies in any direction; complete on return. What the host holds goes through pinned memory, piece by piece.
class Copier {
 public:
  static Result<Copier> create(const std::shared_ptr<Context>& context);
  Status copy(const CopyRequest& request);

 private:
  std::shared_ptr<Context> context_;
  std::unique_ptr<DeviceMemory> staging_;
};

}  // namespace kl::cuda
