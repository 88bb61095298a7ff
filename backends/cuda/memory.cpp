#include "cuda/memory.h"

#include <algorithm>
#include <cstring>

#include "backend/transfer.h"
#include "core/checked.h"

namespace kl::cuda {
namespace {

constexpr uint64_t kStagingBytes = uint64_t{8} << 20;

}  // namespace

Result<std::unique_ptr<DeviceMemory>> DeviceMemory::allocate(const std::shared_ptr<Context>& context, uint64_t bytes, Access access) {
  KL_TRY(context->lost());
  const Context::Use use(*context);
  const Driver& driver = context->driver();
  auto memory = std::make_unique<DeviceMemory>(context);
  memory->bytes_ = bytes;
  const std::optional<uint64_t> rounded = checked_round_up<uint64_t>(std::max<uint64_t>(bytes, 1), kAlignment);
  const auto too_much = [&] {
    size_t free = 0, total = 0;
    (void)driver.memory_info(&free, &total);
    return error(Code::out_of_memory, "%s has %s bytes of memory left for us, %s are asked for", context->gpu().name.c_str(),
                 with_commas(free).c_str(), with_commas(bytes).c_str());
  };
  if (!rounded) return too_much();
  if (access != Access::device) {
    void* host = nullptr;
    const unsigned flags = access == Access::mapped ? kHostAllocDeviceMap : 0;
    const int code = driver.host_allocate(&host, *rounded, flags);
    if (code == kCudaOutOfMemory)
      return error(Code::out_of_memory, "%s: the host gives no %s bytes that stay in memory", context->gpu().name.c_str(),
                   with_commas(bytes).c_str());
    KL_TRY(context->check(code, "cuMemHostAlloc"));
    memory->host_ = static_cast<std::byte*>(host);
    std::memset(host, 0, *rounded);
    if (access == Access::mapped)
      KL_TRY(context->check(driver.host_device_address(&memory->address_, host, 0), "cuMemHostGetDevicePointer"));
  }
  if (access == Access::device || access == Access::upload) {
    const int code = driver.memory_allocate(&memory->address_, *rounded);
    if (code == kCudaOutOfMemory) return too_much();
    KL_TRY(context->check(code, "cuMemAlloc"));
    memory->owns_device_ = true;
  }
  return memory;
}

DeviceMemory::~DeviceMemory() {
  if (context_->abandoned()) return;
  const Context::Use use(*context_);
  if (owns_device_) (void)context_->driver().memory_free(address_);
  if (host_ != nullptr) (void)context_->driver().host_free(host_);
}

Status DeviceMemory::refresh() const {
  return context_->check(context_->driver().copy_to_device(address_, host_, bytes_, context_->stream()), "cuMemcpyHtoDAsync");
}

Result<Copier> Copier::create(const std::shared_ptr<Context>& context) {
  Copier copier;
  copier.context_ = context;
  KL_ASSIGN(copier.staging_, DeviceMemory::allocate(context, kStagingBytes, Access::readback));
  return copier;
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
  const Context::Use use(*context_);
  const Driver& driver = context_->driver();
  if (ends.source == nullptr && ends.target == nullptr) {
    KL_TRY(context_->check(driver.copy_on_device(to->address() + r.to_offset, from->address() + r.from_offset, r.bytes, context_->stream()),
                           "cuMemcpyDtoDAsync"));
    return context_->finish();
  }
  for (uint64_t done = 0; done < r.bytes; done += kStagingBytes) {
    const uint64_t piece = std::min(kStagingBytes, r.bytes - done);
    if (ends.source != nullptr) {
      std::memcpy(staging_->host(), ends.source + done, piece);
      KL_TRY(context_->check(driver.copy_to_device(to->address() + r.to_offset + done, staging_->host(), piece, context_->stream()),
                             "cuMemcpyHtoDAsync"));
      KL_TRY(context_->finish());
    } else {
      KL_TRY(context_->check(driver.copy_to_host(staging_->host(), from->address() + r.from_offset + done, piece, context_->stream()),
                             "cuMemcpyDtoHAsync"));
      KL_TRY(context_->finish());
      std::memcpy(ends.target + done, staging_->host(), piece);
    }
  }
  return {};
}

}  // namespace kl::cuda
