#include "core/formats/block_codes.h"

#include "core/formats/rows.h"

namespace kl::formats {
namespace {

uint32_t byte_at(const std::byte* at) { return std::to_integer<uint32_t>(*at); }

}  // namespace

void block_codes(Format format, const std::byte* row, uint32_t b, uint32_t (&q)[32]) {
  const FormatInfo& i = kl::info(format);
  const std::byte* block = row + size_t{b} * 32 / i.block_elements * i.block_bytes;
  const uint32_t within = b % 8;  // of a block of 256
  switch (format) {
    case Format::q4_k:
    case Format::q5_k: {
      const std::byte* codes = block + (format == Format::q4_k ? 16 : 48) + within / 2 * 32;
      for (uint32_t j = 0; j < 32; ++j) {
        q[j] = byte_at(codes + j) >> (within % 2 * 4) & 15u;
        if (format == Format::q5_k) q[j] |= (byte_at(block + 16 + j) >> within & 1u) << 4;
      }
      return;
    }
    case Format::q6_k: {
      const uint32_t h = within / 4, k = within % 4;
      for (uint32_t j = 0; j < 32; ++j) {
        const uint32_t low = byte_at(block + 64 * h + 32 * (k % 2) + j) >> (k / 2 * 4) & 15u;
        q[j] = low | (byte_at(block + 128 + 32 * h + j) >> (2 * k) & 3u) << 4;
      }
      return;
    }
    default: {  // nibbles j and j + 16 in one byte, behind the scales
      const uint32_t high_at = format == Format::q5_0 ? 2 : 4;
      const std::byte* codes = block + i.block_bytes - 16;
      const uint32_t high = format == Format::q5_0 || format == Format::q5_1 ? load_u32(block + high_at) : 0;
      for (uint32_t j = 0; j < 16; ++j) {
        q[j] = (byte_at(codes + j) & 15u) | (high >> j & 1u) << 4;
        q[j + 16] = byte_at(codes + j) >> 4 | (high >> (j + 16) & 1u) << 4;
      }
    }
  }
}

}  // namespace kl::formats
