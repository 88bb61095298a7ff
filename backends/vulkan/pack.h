// The one layout of weight matrices on this backend, "<format>/g32/n1/row": rows one after the other, in each codes, upper bits and scales
// (shaders/include/formats.glsl has the diagram), padded with zeros to whole blocks of 32 weights and whole vectors of 16 bytes. Decode, prefill and gathers read it,
// so a tied embedding lies in memory once. Bits per weight beyond the file's: the padding; q6_k 0.06.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/format.h"

namespace kl::vulkan {

// Sizes and places of a packed row, in 32-bit words.
struct RowLayout {
  uint32_t blocks = 0;  // of 32 weights
  uint32_t high_at = 0, scale_at = 0;
  uint32_t row_words = 0;  // a multiple of 4
};

inline constexpr const char* kVector = "f32/vector";  // [k] float32: gains, biases, frequency factors

std::string layout_name(Format format);
RowLayout row_layout(Format format, uint32_t k);
constexpr uint64_t vector_bytes(uint64_t k) { return k * sizeof(float); }

// row: row_bytes(format, k) bytes of the file; out: row_words words.
void pack_row(Format format, const std::byte* row, uint32_t k, uint32_t* out);
// The reference reader: the row's k weights as the format's definition gives them.
void unpack_row(Format format, const uint32_t* packed, uint32_t k, float* out);

}  // namespace kl::vulkan
