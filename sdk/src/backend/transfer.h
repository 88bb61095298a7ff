// Host reads and writes of a device's memory, whether or not the host can address it.
#pragma once
#include <cstring>
#include <span>

#include "backend/device.h"

namespace kl {

// Precondition of both: [offset, offset + size) lies within the memory, and nothing submitted uses it.
inline Status write_memory(Device& device, Memory& to, uint64_t offset, std::span<const std::byte> bytes) {
  if (to.host() != nullptr) {
    if (!bytes.empty()) std::memcpy(to.host() + offset, bytes.data(), bytes.size());
    return {};
  }
  CopyRequest request;
  request.to = &to;
  request.to_offset = offset;
  request.from_host = bytes.data();
  request.bytes = bytes.size();
  return device.copy(request);
}

inline Status read_memory(Device& device, const Memory& from, uint64_t offset, std::span<std::byte> out) {
  if (from.host() != nullptr) {
    if (!out.empty()) std::memcpy(out.data(), from.host() + offset, out.size());
    return {};
  }
  CopyRequest request;
  request.from = &from;
  request.from_offset = offset;
  request.to_host = out.data();
  request.bytes = out.size();
  return device.copy(request);
}

}  // namespace kl
