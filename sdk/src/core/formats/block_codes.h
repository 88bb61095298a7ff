// The codes of 32 weights as the file has them, for packers.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/format.h"

namespace kl::formats {

// The 32 unsigned codes (4 to 6 bits each) of block b of a row. Precondition: format is not f32, f16, bf16 or q8_0.
void block_codes(Format format, const std::byte* row, uint32_t b, uint32_t (&q)[32]);

}  // namespace kl::formats
