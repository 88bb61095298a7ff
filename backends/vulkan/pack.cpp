#include "vulkan/pack.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/checked.h"
#include "core/formats.h"
#include "core/formats/block_codes.h"
#include "core/formats/rows.h"

namespace kl::vulkan {
namespace {

using formats::load_u16;
using formats::load_u32;

// Where things are in a format: words of codes and of upper bits per block; scales per row.
struct Shape {
  uint32_t code_words = 4, high_words = 0;
  enum class Scales : uint8_t { none, halves, pairs, bytes, k_words, q6_words } scales = Scales::none;
};

Shape shape(Format format) {
  using S = Shape::Scales;
  switch (format) {
    case Format::f32:
      return {32, 0, S::none};
    case Format::f16:
    case Format::bf16:
      return {16, 0, S::none};
    case Format::q8_0:
      return {8, 0, S::halves};
    case Format::q4_0:
    case Format::iq4_nl:
      return {4, 0, S::halves};
    case Format::q4_1:
      return {4, 0, S::pairs};
    case Format::q5_0:
      return {4, 1, S::halves};
    case Format::q5_1:
      return {4, 1, S::pairs};
    case Format::q4_k:
      return {4, 0, S::k_words};
    case Format::q5_k:
      return {4, 1, S::k_words};
    case Format::q6_k:
      return {4, 2, S::q6_words};
    case Format::mxfp4:
      return {4, 0, S::bytes};
  }
  return {};
}

uint32_t scale_words(Shape::Scales scales, uint32_t blocks) {
  using S = Shape::Scales;
  switch (scales) {
    case S::none:
      return 0;
    case S::halves:
      return static_cast<uint32_t>(ceil_div(blocks, 2));
    case S::pairs:
      return blocks;
    case S::bytes:
      return static_cast<uint32_t>(ceil_div(blocks, 4));
    case S::k_words:
      return blocks / 8 * 4;
    case S::q6_words:
      return blocks / 8 * 5;
  }
  return 0;
}

uint32_t byte_at(const std::byte* at) { return std::to_integer<uint32_t>(*at); }

// One block of 32 codes (its values 0 to 63) into words of low nibbles and upper bits.
void put_codes(const uint32_t (&q)[32], uint32_t high_bits, uint32_t* codes, uint32_t* high) {
  for (uint32_t i = 0; i < 32; ++i) {
    codes[i / 8] |= (q[i] & 15u) << (i % 8 * 4);
    if (high_bits == 1) high[0] |= (q[i] >> 4) << i;
    if (high_bits == 2) high[i / 16] |= (q[i] >> 4) << (i % 16 * 2);
  }
}
void get_codes(const uint32_t* codes, uint32_t high_bits, const uint32_t* high, uint32_t (&q)[32]) {
  for (uint32_t i = 0; i < 32; ++i) {
    q[i] = codes[i / 8] >> (i % 8 * 4) & 15u;
    if (high_bits == 1) q[i] |= (high[0] >> i & 1u) << 4;
    if (high_bits == 2) q[i] |= (high[i / 16] >> (i % 16 * 2) & 3u) << 4;
  }
}

}  // namespace

std::string layout_name(Format format) { return std::string(name(format)) + "/g32/n1/row"; }

RowLayout row_layout(Format format, uint32_t k) {
  const Shape s = shape(format);
  RowLayout l;
  l.blocks = static_cast<uint32_t>(ceil_div(k, 32));
  l.high_at = l.blocks * s.code_words;
  l.scale_at = l.high_at + l.blocks * s.high_words;
  l.row_words = static_cast<uint32_t>(round_up(l.scale_at + scale_words(s.scales, l.blocks), 4));
  return l;
}

void pack_row(Format format, const std::byte* row, uint32_t k, uint32_t* out) {
  const RowLayout l = row_layout(format, k);
  const Shape s = shape(format);
  std::fill_n(out, l.row_words, 0u);
  if (format == Format::f32 || format == Format::f16 || format == Format::bf16) {
    std::memcpy(out, row, row_bytes(format, k));
    return;
  }
  const FormatInfo& i = kl::info(format);
  uint32_t* scales = out + l.scale_at;
  for (uint32_t b = 0; b < l.blocks; ++b) {
    const std::byte* block = row + size_t{b} * 32 / i.block_elements * i.block_bytes;
    if (format == Format::q8_0) {
      std::memcpy(out + 8 * b, block + 2, 32);
    } else {
      uint32_t q[32];
      formats::block_codes(format, row, b, q);
      put_codes(q, s.high_words, out + 4 * b, out + l.high_at + b * s.high_words);
    }
    if (s.scales == Shape::Scales::halves) scales[b / 2] |= static_cast<uint32_t>(load_u16(block)) << (b % 2 * 16);
    if (s.scales == Shape::Scales::pairs) scales[b] = load_u32(block);
    if (s.scales == Shape::Scales::bytes) scales[b / 4] |= byte_at(block) << (b % 4 * 8);
    if (s.scales == Shape::Scales::k_words && b % 8 == 0) std::memcpy(scales + b / 8 * 4, block, 16);
    if (s.scales == Shape::Scales::q6_words && b % 8 == 0) std::memcpy(scales + b / 8 * 5, block + 192, 18);
  }
}

void unpack_row(Format format, const uint32_t* packed, uint32_t k, float* out) {
  const RowLayout l = row_layout(format, k);
  const Shape s = shape(format);
  const auto half = [](uint32_t word, uint32_t index) { return f16_to_f32(static_cast<uint16_t>(word >> (16 * index))); };
  const uint32_t* scales = packed + l.scale_at;
  for (uint32_t v = 0; v < k; ++v) {
    const uint32_t b = v / 32, at = v % 32;
    if (format == Format::f32) {
      out[v] = std::bit_cast<float>(packed[v]);
      continue;
    }
    if (format == Format::f16 || format == Format::bf16) {
      const auto bits = static_cast<uint16_t>(packed[v / 2] >> (v % 2 * 16));
      out[v] = format == Format::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
      continue;
    }
    if (format == Format::q8_0) {
      out[v] = static_cast<float>(static_cast<int8_t>(packed[v / 4] >> (v % 4 * 8))) * half(scales[b / 2], b % 2);
      continue;
    }
    uint32_t codes[32];
    get_codes(packed + 4 * b, s.high_words, packed + l.high_at + b * s.high_words, codes);
    const auto q = static_cast<float>(codes[at]);
    switch (format) {
      case Format::q4_0:
        out[v] = (q - 8) * half(scales[b / 2], b % 2);
        break;
      case Format::q5_0:
        out[v] = (q - 16) * half(scales[b / 2], b % 2);
        break;
      case Format::q4_1:
      case Format::q5_1:
        out[v] = q * half(scales[b], 0) + half(scales[b], 1);
        break;
      case Format::iq4_nl:
        out[v] = static_cast<float>(formats::kIq4NlValues[codes[at]]) * half(scales[b / 2], b % 2);
        break;
      case Format::mxfp4:
        out[v] = static_cast<float>(formats::kMxfp4DoubleValues[codes[at]]) *
                 formats::mxfp4_half_scale(static_cast<uint8_t>(scales[b / 4] >> (b % 4 * 8)));
        break;
      case Format::q6_k: {
        const uint32_t* w = scales + b / 8 * 5;
        const uint32_t j = 2 * (b % 8) + at / 16;
        out[v] = half(w[4], 0) * static_cast<float>(static_cast<int8_t>(w[j / 4] >> (j % 4 * 8))) * (q - 32);
        break;
      }
      default: {  // q4_k, q5_k
        const uint32_t* w = scales + b / 8 * 4;
        const formats::ScaleMin sm = formats::k_scale_min(reinterpret_cast<const std::byte*>(w + 1), b % 8);
        out[v] = half(w[0], 0) * static_cast<float>(sm.scale) * q - half(w[0], 1) * static_cast<float>(sm.min);
      }
    }
  }
}

}  // namespace kl::vulkan
