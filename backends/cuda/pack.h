// The one layout of weight matrices on this backend, "<format>/g32/n16/k4/...": decode, prefill and gathers read it, so a tied embedding lies in memory once.
// It is operand A of mma.sync m16n8k32 (and, with K renumbered alike on both sides, of m16n8k16 over halves), in the order in which the lanes of a warp load it.
//
//   panel   16 outputs (zeros behind N); panels follow one another
//   tile    64 of K (zeros behind K) of a panel: blocks b = 0, 1 of 32. Lane L has g = L / 4, q = L % 4, and of each block the outputs g (o = 0) and g + 8 (o = 1),
//           weights 4q .. 4q+3 (half h = 0) and 16+4q .. 16+4q+3 (h = 1), numbered i = 0 .. 3
//
// A panel is, in this order:
//   codes   [tiles][V][32 lanes][16 bytes]   V 16-byte vectors a lane:
//             4-bit codes (and the low four bits of longer ones)   V = 1: word 2b + o, byte i: low nibble (h = 0, i), high nibble (h = 1, i)
//             q8_0                                                 V = 2: vector b, word 2o + h, byte i
//             f16, bf16                                            V = 4: vector 2b + o, half 4h + i
//             f32                                                  V = 8: vector 4b + 2o + h, word i
//   high    upper bits of codes; word, byte i:
//             q5_0, q5_1, q5_k   [tiles][32 lanes] word            bit 4b + 2o + h
//             q6_k               [tiles][32 lanes][2] word b       bits 2(2o + h), 2(2o + h) + 1
//   scales  by g, so that the lanes of a group load the same bytes
//             q4_0, q5_0, q8_0, iq4_nl   [tiles][8 g][b][o] f16
//             q4_1, q5_1                 the same, then [8 g][b][o] f16 minimum
//             mxfp4                      [tiles][8 g][b][o] byte
//             q4_k, q5_k                 [tiles][8 g][b][o] byte scale, then [8 g][b][o] byte minimum (6 bits each, spread to bytes: 0.125 bits a weight more)
//             q6_k                       [tiles][8 g][b][o][h] int8
//   super   of 256 weights (4 tiles): q4_k, q5_k   [tiles / 4][8 g] f16 d of o = 0, 1, dmin of o = 0, 1;   q6_k   [tiles / 4][8 g] f16 d of o = 0, 1
// and its size is a multiple of 128 bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/format.h"

namespace kl::cuda {

inline constexpr uint32_t kPanelRows = 16, kTileColumns = 64;

// Sizes and places within a panel, in bytes.
struct PanelLayout {
  uint32_t tiles = 0;
  uint32_t high_at = 0, scale_at = 0, super_at = 0;
  uint32_t panel_bytes = 0;
};

inline constexpr const char* kVector = "f32/vector";  // [k] float32: gains, biases, frequency factors

std::string layout_name(Format format);
PanelLayout panel_layout(Format format, uint32_t k);
uint64_t matrix_bytes(Format format, uint32_t n, uint32_t k);
constexpr uint64_t vector_bytes(uint64_t k) { return k * sizeof(float); }

// rows: n rows of row_bytes(format, k) bytes of the file; out: matrix_bytes(format, n, k).
void pack_matrix(Format format, const std::byte* rows, uint32_t n, uint32_t k, std::byte* out);
// The reference reader: row `row`'s k weights as the format's definition gives them, from the diagram above.
void unpack_row(Format format, const std::byte* packed, uint32_t k, uint32_t row, float* out);

}  // namespace kl::cuda
