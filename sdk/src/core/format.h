// The number formats of weights, activations and KV caches: names and sizes only. How a block is read: weights/formats.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace kl {

// Weight formats. A row of K values is K / block_elements blocks of block_bytes each.
enum class Format : uint8_t { f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k, iq4_nl, mxfp4 };
inline constexpr size_t kFormatCount = 13;

struct FormatInfo {
  Format format;
  const char* name;         // "q4_0"; in GGUF speech upper case
  uint32_t ggml_type;       // the number in a GGUF tensor table
  uint32_t block_elements;  // values in a block
  uint32_t block_bytes;     // bytes of a block
};

inline constexpr FormatInfo kFormats[kFormatCount] = {
    {Format::f32, "f32", 0, 1, 4},        {Format::f16, "f16", 1, 1, 2},        {Format::bf16, "bf16", 30, 1, 2},
    {Format::q8_0, "q8_0", 8, 32, 34},    {Format::q4_0, "q4_0", 2, 32, 18},    {Format::q4_1, "q4_1", 3, 32, 20},
    {Format::q5_0, "q5_0", 6, 32, 22},    {Format::q5_1, "q5_1", 7, 32, 24},    {Format::q4_k, "q4_k", 12, 256, 144},
    {Format::q5_k, "q5_k", 13, 256, 176}, {Format::q6_k, "q6_k", 14, 256, 210}, {Format::iq4_nl, "iq4_nl", 20, 32, 18},
    {Format::mxfp4, "mxfp4", 39, 32, 17},
};

constexpr const FormatInfo& info(Format format) { return kFormats[static_cast<size_t>(format)]; }
constexpr const char* name(Format format) { return info(format).name; }
// Bytes of a row of `elements` values; elements is a multiple of the block size (checked where files are read).
constexpr uint64_t row_bytes(Format format, uint64_t elements) { return elements / info(format).block_elements * info(format).block_bytes; }
std::optional<Format> format_from_ggml(uint32_t ggml_type);
std::optional<Format> format_from_name(std::string_view name);

// What a linear's input is rounded to before the product: a fact of the plan, printed in it.
enum class ActivationFormat : uint8_t { f32, f16, q8 };  // q8: int8 in groups of 32 with an f32 scale (max |x| / 127)
constexpr const char* name(ActivationFormat a) { return a == ActivationFormat::f32 ? "f32" : a == ActivationFormat::f16 ? "f16" : "q8"; }

// What the KV cache holds.
enum class KvFormat : uint8_t { f32, f16, q8, q4 };
inline constexpr uint32_t kKvPageTokens = 32;                              // positions in a page: logical page = position / 32
inline constexpr uint32_t kNoPage = std::numeric_limits<uint32_t>::max();  // block table entry without a page (behind a window)
constexpr const char* name(KvFormat f) { return f == KvFormat::f32 ? "f32" : f == KvFormat::f16 ? "f16" : f == KvFormat::q8 ? "q8" : "q4"; }

}  // namespace kl
