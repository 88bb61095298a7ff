// Host reads and writes of a device's memory, whether or not the host can address it.
#pragma once
#include <cstring>
#include <span>

#include "backend/device.h"
#include "core/checked.h"

namespace kl {

// The ends of a copy where the host can address them; null is within a Memory that it cannot address.
struct CopyEnds {
  const std::byte* source = nullptr;
  std::byte* target = nullptr;
};

// Errors: internal (an end is nowhere, or leaves its memory).
inline Result<CopyEnds> ends_of(const CopyRequest& r) {
  const std::byte* source = r.from != nullptr ? r.from->host() : r.from_host;
  std::byte* target = r.to != nullptr ? r.to->host() : r.to_host;
  if ((r.from == nullptr && source == nullptr) || (r.to == nullptr && target == nullptr))
    return error(Code::internal, "a copy of %s bytes from or to nowhere", with_commas(r.bytes).c_str());
  if ((r.from != nullptr && !range_fits(r.from_offset, r.bytes, r.from->bytes())) ||
      (r.to != nullptr && !range_fits(r.to_offset, r.bytes, r.to->bytes())))
    return error(Code::internal, "a copy of %s bytes leaves its memory", with_commas(r.bytes).c_str());
  if (source != nullptr) source += r.from_offset;
  if (r.to != nullptr && target != nullptr) target += r.to_offset;
  return CopyEnds{source, target};
}

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
