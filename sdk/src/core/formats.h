// How the bytes of a row become numbers and back: the reference for every kernel, packer and file of ours. Sizes and names: core/format.h.
// Each format has a file under core/formats/ with its bit diagram.
#pragma once
#include <cstddef>

#include "core/format.h"

namespace kl {

// Both take n values, n a multiple of the format's block (core/format.h), and row_bytes(format, n) bytes of any alignment. No errors: every
// bit pattern is a number (a scale can be infinite or NaN, and its values then are too). Thread-safe.

// Bit-exact with ggml: the same products and sums in the same order, each rounded to float.
void dequantize_row(Format format, const std::byte* src, float* dst, size_t n);

// f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1: bit-exact with gguf-py 0.17's reference for finite values. q4_k, q5_k, q6_k, iq4_nl, mxfp4: a plain
// quantizer of ours (nearest code under scales that cover the block), for tests and tools; ggml's search gives a somewhat smaller error.
// Values that are not finite give some valid block.
void quantize_row(Format format, const float* src, std::byte* dst, size_t n);

}  // namespace kl
