// The pack cache: one file per model and set of layouts that holds the packed block as the kernels read it, mapped from the second start on.
//
//   offset 0    8 bytes  "KLPACK01"
//          8    u64      payload offset (a multiple of 2 MiB: a mapping of it can lie on huge pages, which raise one thread's read bandwidth)
//         16    u64      payload bytes
//         24    16 bytes XXH3-128 of the payload, low then high
//         40    u64      length of the key text
//         48    u64      XXH3-64 of bytes 0 to 47 and the key text
//         56    key text (model identity, then a line per tensor: name, shape, format, layout, offset)
//   payload     the packed block
//
// All numbers little-endian. A file that differs in any bit is a miss (R19, R21); files appear whole or not at all (R20).
#pragma once
#include <memory>
#include <span>
#include <string>

#include "core/file.h"
#include "core/status.h"

namespace kl {

inline constexpr uint64_t kPackCacheAlignment = uint64_t{2} << 20;

// The file a key's cache is kept in.
std::string pack_cache_path(const std::string& folder, const std::string& key);

// The mapped file and where its payload starts. Errors: not_found; corrupt, unsupported (any mismatch, named).
struct PackCacheHit {
  std::shared_ptr<const ByteSource> file;
  std::span<const std::byte> payload;
};
Result<PackCacheHit> open_pack_cache(const std::string& path, const std::string& key, uint64_t payload_bytes);

Status write_pack_cache(const std::string& path, const std::string& key, std::span<const std::byte> payload);

}  // namespace kl
