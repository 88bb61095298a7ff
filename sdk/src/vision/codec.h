// What decode.cpp asks of each format's file. Each codec: the file begins with the format's mark; errors and threads as in decode.h.
#pragma once
#include "vision/decode.h"

namespace kl {

Result<ImageHeader> probe_jpeg(std::span<const std::byte> file);
Result<ImageHeader> probe_png(std::span<const std::byte> file);
Result<ImageHeader> probe_webp(std::span<const std::byte> file);
Result<ImageHeader> probe_bmp(std::span<const std::byte> file);
Result<Picture> decode_jpeg(std::span<const std::byte> file, const DecodeLimits& limits);
Result<Picture> decode_png(std::span<const std::byte> file, const DecodeLimits& limits);
Result<Picture> decode_webp(std::span<const std::byte> file, const DecodeLimits& limits);
Result<Picture> decode_bmp(std::span<const std::byte> file, const DecodeLimits& limits);

// Holds a picture's size to the limits. working_bytes: what decoding takes at most beside the picture. Error: out_of_memory.
Status check_limits(uint32_t width, uint32_t height, uint64_t working_bytes, const DecodeLimits& limits);

}  // namespace kl
