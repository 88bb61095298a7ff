// Packed weights: panels of 32 outputs, contiguous along K, whole cache lines. One layout per format, read by every instruction set and row count.
// Each layout is described, bit by bit, where it is unpacked: pack/unpack_reference.cpp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/format.h"
#include "core/status.h"

namespace kl::cpu {

// The layout's name in the grammar of layout_name.h, e.g. "q4_0/g32/n32/k4/sb".
const char* layout_name(Format format);

// Bytes of one panel of 32 outputs, and of a whole weight [N K]: ceil(N / 32) panels. K is a multiple of the format's block. No overflow checks:
// packed_bytes_checked is for sizes that come from a file.
size_t panel_bytes(Format format, size_t k);
size_t packed_bytes(Format format, size_t n, size_t k);
Result<size_t> packed_bytes_checked(Format format, uint64_t n, uint64_t k);

// Packs one panel: `rows` (1 to 32) consecutive canonical rows (GGUF blocks, row_bytes(format, k) each) into panel_bytes(format, k) bytes; missing rows
// become zero weights. Thread-safe; panels are independent, so that a loader streams rows and spreads panels over threads.
void pack_panel(Format format, const std::byte* rows_data, size_t rows, size_t k, std::byte* panel);

// A whole tensor. Errors: invalid_argument when K is no multiple of the block or a span has another size than the shape needs.
Status pack_weights(Format format, size_t n, size_t k, std::span<const std::byte> rows, std::span<std::byte> packed);

// The reference unpacker: output o (0 to 31) of a panel as K floats, bit-equal to dequantizing the canonical row.
void unpack_panel_row(Format format, const std::byte* panel, size_t k, size_t output, float* out);

}  // namespace kl::cpu
