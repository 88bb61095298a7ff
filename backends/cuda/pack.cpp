#include "cuda/pack.h"

#include <bit>
#include <cstring>

#include "core/checked.h"
#include "core/formats.h"
#include "core/formats/block_codes.h"
#include "core/formats/rows.h"
#include "core/half.h"

namespace kl::cuda {
namespace {

using formats::load_u16;

struct Shape {
  uint32_t vectors = 1;      // of codes, a lane and tile
  uint32_t high_words = 0;   // a lane and tile
  uint32_t scale_bytes = 0;  // a tile
  uint32_t super_bytes = 0;  // four tiles
};

Shape shape(Format format) {
  switch (format) {
    case Format::f32:
      return {8, 0, 0, 0};
    case Format::f16:
    case Format::bf16:
      return {4, 0, 0, 0};
    case Format::q8_0:
      return {2, 0, 64, 0};
    case Format::q4_0:
    case Format::iq4_nl:
      return {1, 0, 64, 0};
    case Format::q5_0:
      return {1, 1, 64, 0};
    case Format::q4_1:
      return {1, 0, 128, 0};
    case Format::q5_1:
      return {1, 1, 128, 0};
    case Format::mxfp4:
      return {1, 0, 32, 0};
    case Format::q4_k:
      return {1, 0, 64, 64};
    case Format::q5_k:
      return {1, 1, 64, 64};
    case Format::q6_k:
      return {1, 2, 64, 32};
  }
  return {};
}

bool is_float(Format f) { return f == Format::f32 || f == Format::f16 || f == Format::bf16; }

void put_u16(std::byte* at, uint32_t value) {
  at[0] = static_cast<std::byte>(value);
  at[1] = static_cast<std::byte>(value >> 8);
}
void or_byte(std::byte* at, uint32_t bits) { *at |= static_cast<std::byte>(bits); }

// Where output r (of its panel) and weight w (of its block) are: the lane and its numbers.
struct Spot {
  uint32_t o, g, h, q, i, lane;
};
Spot spot(uint32_t r, uint32_t w) {
  const uint32_t g = r % 8, q = w % 16 / 4;
  return {r / 8, g, w / 16, q, w % 4, 4 * g + q};
}

// One block of 32 weights of one output.
struct Packer {
  Format format;
  PanelLayout l;
  Shape s;
  std::byte* panel;

  std::byte* code(uint32_t tile, uint32_t vector, uint32_t lane) const {
    return panel + ((size_t{tile} * s.vectors + vector) * 32 + lane) * 16;
  }

  void floats(const std::byte* row, uint32_t k, uint32_t r, uint32_t block) const {
    const uint32_t bytes = format == Format::f32 ? 4 : 2, b = block % 2;
    for (uint32_t w = 0; w < 32 && 32 * block + w < k; ++w) {
      const Spot p = spot(r, w);
      std::byte* at = format == Format::f32 ? code(block / 2, 4 * b + 2 * p.o + p.h, p.lane) + size_t{4} * p.i
                                            : code(block / 2, 2 * b + p.o, p.lane) + size_t{2} * (4 * p.h + p.i);
      std::memcpy(at, row + size_t{bytes} * (32 * block + w), bytes);
    }
  }

  void codes(const std::byte* row, uint32_t r, uint32_t block) const {
    const uint32_t b = block % 2, tile = block / 2;
    if (format == Format::q8_0) {
      for (uint32_t w = 0; w < 32; ++w) {
        const Spot p = spot(r, w);
        code(tile, b, p.lane)[4 * (2 * p.o + p.h) + p.i] = row[size_t{block} * 34 + 2 + w];
      }
      return;
    }
    uint32_t q[32];
    formats::block_codes(format, row, block, q);
    for (uint32_t w = 0; w < 32; ++w) {
      const Spot p = spot(r, w);
      or_byte(code(tile, 0, p.lane) + 4 * (2 * b + p.o) + p.i, (q[w] & 15u) << (4 * p.h));
      std::byte* high = panel + l.high_at + (size_t{tile} * 32 + p.lane) * 4 * s.high_words;
      if (s.high_words == 1) or_byte(high + p.i, (q[w] >> 4) << (4 * b + 2 * p.o + p.h));
      if (s.high_words == 2) or_byte(high + 4 * b + p.i, (q[w] >> 4) << (2 * (2 * p.o + p.h)));
    }
  }

  void scales(const std::byte* row, uint32_t r, uint32_t block) const {
    const FormatInfo& f = kl::info(format);
    const std::byte* from = row + size_t{block} * 32 / f.block_elements * f.block_bytes;
    const uint32_t b = block % 2, tile = block / 2, o = r / 8, g = r % 8, at = 4 * g + 2 * b + o, within = block % 8;
    std::byte* scale = panel + l.scale_at + size_t{tile} * s.scale_bytes;
    std::byte* super = panel + l.super_at + size_t{tile} / 4 * s.super_bytes;
    switch (format) {
      case Format::mxfp4:
        scale[at] = from[0];
        return;
      case Format::q4_1:
      case Format::q5_1:
        put_u16(scale + 2 * at, load_u16(from));
        put_u16(scale + 64 + 2 * at, load_u16(from + 2));
        return;
      case Format::q4_k:
      case Format::q5_k: {
        const formats::ScaleMin sm = formats::k_scale_min(from + 4, within);
        scale[at] = static_cast<std::byte>(sm.scale);
        scale[32 + at] = static_cast<std::byte>(sm.min);
        put_u16(super + 8 * g + 2 * o, load_u16(from));
        put_u16(super + 8 * g + 4 + 2 * o, load_u16(from + 2));
        return;
      }
      case Format::q6_k:
        for (uint32_t h = 0; h < 2; ++h) scale[2 * at + h] = from[192 + 2 * within + h];
        put_u16(super + 4 * g + 2 * o, load_u16(from + 208));
        return;
      default:
        put_u16(scale + 2 * at, load_u16(from));
    }
  }
};

}  // namespace

std::string layout_name(Format format) {
  const std::string start = std::string(name(format)) + (is_float(format) ? "/g1/n16/k4" : "/g32/n16/k4/ss");
  const bool minimum = format == Format::q4_1 || format == Format::q5_1 || format == Format::q4_k || format == Format::q5_k;
  return start + (minimum ? "/zs" : "");
}

PanelLayout panel_layout(Format format, uint32_t k) {
  const Shape s = shape(format);
  PanelLayout l;
  l.tiles = static_cast<uint32_t>(ceil_div(k, kTileColumns));
  l.high_at = l.tiles * s.vectors * 512;
  l.scale_at = l.high_at + l.tiles * s.high_words * 128;
  l.super_at = l.scale_at + l.tiles * s.scale_bytes;
  l.panel_bytes = static_cast<uint32_t>(round_up(l.super_at + ceil_div(l.tiles, 4) * s.super_bytes, 128));
  return l;
}

uint64_t matrix_bytes(Format format, uint32_t n, uint32_t k) {
  return ceil_div(n, kPanelRows) * uint64_t{panel_layout(format, k).panel_bytes};
}

void pack_matrix(Format format, const std::byte* rows, uint32_t n, uint32_t k, std::byte* out) {
  const uint64_t stride = row_bytes(format, k);
  Packer p{format, panel_layout(format, k), shape(format), out};
  const auto blocks = static_cast<uint32_t>(ceil_div(k, 32));
  for (uint32_t first = 0; first < n; first += kPanelRows, p.panel += p.l.panel_bytes) {
    std::memset(p.panel, 0, p.l.panel_bytes);
    for (uint32_t r = 0; r < kPanelRows && first + r < n; ++r) {
      const std::byte* row = rows + (first + r) * stride;
      for (uint32_t block = 0; block < blocks; ++block) {
        if (is_float(format)) {
          p.floats(row, k, r, block);
        } else {
          p.codes(row, r, block);
          p.scales(row, r, block);
        }
      }
    }
  }
}

void unpack_row(Format format, const std::byte* packed, uint32_t k, uint32_t row, float* out) {
  const PanelLayout l = panel_layout(format, k);
  const Shape s = shape(format);
  const std::byte* panel = packed + uint64_t{row / kPanelRows} * l.panel_bytes;
  const auto byte = [&](size_t at) { return std::to_integer<uint32_t>(panel[at]); };
  const auto half = [&](size_t at) { return f16_to_f32(load_u16(panel + at)); };
  const uint32_t r = row % kPanelRows, o = r / 8, g = r % 8;
  for (uint32_t at = 0; at < k; ++at) {
    const uint32_t tile = at / 64, b = at % 64 / 32, w = at % 32, h = w / 16, q = w % 16 / 4, i = w % 4, lane = 4 * g + q;
    const auto vector = [&](uint32_t v) { return ((size_t{tile} * s.vectors + v) * 32 + lane) * 16; };
    if (format == Format::f32) {
      std::memcpy(out + at, panel + vector(4 * b + 2 * o + h) + size_t{4} * i, 4);
      continue;
    }
    if (is_float(format)) {
      const uint16_t bits = load_u16(panel + vector(2 * b + o) + size_t{2} * (4 * h + i));
      out[at] = format == Format::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
      continue;
    }
    const size_t scale = l.scale_at + size_t{tile} * s.scale_bytes, super = l.super_at + size_t{tile} / 4 * s.super_bytes,
                 by_g = 4 * g + 2 * b + o;
    if (format == Format::q8_0) {
      out[at] = static_cast<float>(static_cast<int8_t>(byte(vector(b) + 4 * (2 * o + h) + i))) * half(scale + 2 * by_g);
      continue;
    }
    uint32_t code = byte(vector(0) + 4 * (2 * b + o) + i) >> (4 * h) & 15u;
    const size_t high = l.high_at + (size_t{tile} * 32 + lane) * 4 * s.high_words;
    if (s.high_words == 1) code |= (byte(high + i) >> (4 * b + 2 * o + h) & 1u) << 4;
    if (s.high_words == 2) code |= (byte(high + 4 * b + i) >> (2 * (2 * o + h)) & 3u) << 4;
    const auto c = static_cast<float>(code);
    switch (format) {
      case Format::q4_0:
        out[at] = (c - 8) * half(scale + 2 * by_g);
        break;
      case Format::q5_0:
        out[at] = (c - 16) * half(scale + 2 * by_g);
        break;
      case Format::q4_1:
      case Format::q5_1:
        out[at] = c * half(scale + 2 * by_g) + half(scale + 64 + 2 * by_g);
        break;
      case Format::iq4_nl:
        out[at] = static_cast<float>(formats::kIq4NlValues[code]) * half(scale + 2 * by_g);
        break;
      case Format::mxfp4:
        out[at] =
            static_cast<float>(formats::kMxfp4DoubleValues[code]) * formats::mxfp4_half_scale(static_cast<uint8_t>(byte(scale + by_g)));
        break;
      case Format::q6_k:
        out[at] = half(super + 4 * g + 2 * o) * static_cast<float>(static_cast<int8_t>(byte(scale + 2 * by_g + h))) * (c - 32);
        break;
      default:  // q4_k, q5_k
        out[at] = half(super + 8 * g + 2 * o) * static_cast<float>(byte(scale + by_g)) * c -
                  half(super + 8 * g + 4 + 2 * o) * static_cast<float>(byte(scale + 32 + by_g));
    }
  }
}

}  // namespace kl::cuda
