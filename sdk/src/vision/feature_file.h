// An entry of the feature cache's disk tier as bytes. Pure functions; thread-safe.
//
//   offset 0    8 bytes  "KLFEATUR"
//          8    u32      format version
//         12    u32      rows              16  u32  width: values in a row
//         20    u32      blocks            24  u32  places: 0 or rows
//         28    u32      tile grid rows    32  u32  tile grid columns
//         36    u32      picture width     40  u32  picture height, pixels
//         44    32 bytes key
//         76    blocks x (u32 rows, u32 height, u32 width)
//               places x (u16 y, u16 x)
//               rows x width float32, as they came from the encoder
//   last  16    XXH3-128 of all before it, low then high
//
// All numbers little-endian. Values keep their bits, so that an answer from the disk equals the first one.
#pragma once
#include <span>
#include <vector>

#include "vision/features.h"

namespace kl {

inline constexpr uint32_t kFeatureFileVersion = 1;

// Error corrupt: features that contradict themselves (check_features).
Result<std::vector<std::byte>> encode_features(const Features& features);

// The features, whose key must be `key` (R19). Errors: corrupt (a length, the checksum, the key or a field), unsupported (another format
// version). Nothing is allocated for a length before it is known to fit the bytes (R1, R4, R16).
Result<Features> decode_features(std::span<const std::byte> bytes, const FeatureKey& key);

uint64_t feature_file_bytes(const Features& features);

}  // namespace kl
