// The kernel table: every function the CPU backend runs, once per instruction set. Plain functions over raw pointers; no allocation, no locks, no
// errors (the caller's support predicate has checked shapes). All are thread-safe as long as the ranges given to different threads differ.
//
// Every function computes the same bits on every instruction set, for any split of rows and panels over threads, and for a row alone or among others.
//
// Shapes: T rows (tokens), K inputs, N outputs. Activations are row-major float32, or packed q8 tiles:
//
//   q8 tiles   rows in tiles of kTileRows; the last tile holds what is left (T % 6 rows). For a tile of R rows, K / 32 groups, each 52 * R bytes:
//              f32 scale[R]       s = max|x| / 127 over the group
//              f32 scale_sum[R]   s * float(sum of q), rounded once
//              i32 sum8[R]        -8 * sum of q
//              i32 half32[2][R]   -32 * sum of q over K 0-15, and 16-31, of the group
//              i8  q[8][R][4]     q = round_to_even(x * (127 / max|x|)); step i holds K = 4i..4i+3 of the group
//   panels     32 outputs of a weight, contiguous (pack/pack.h); N that is not a multiple of 32 ends in a panel padded with zero weights.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/format.h"
#include "ir/op.h"

namespace kl::cpu {

inline constexpr size_t kPanelOutputs = 32;  // outputs of a weight panel
inline constexpr size_t kTileRows = 6;       // rows of a full activation tile
inline constexpr size_t kGroup = 32;         // values that share one activation scale
inline constexpr size_t kQ8GroupBytes = 52;  // bytes of a packed group, per row
inline constexpr size_t kQ8Alignment = 64;   // wanted of a tile buffer and of packed weights

// Bytes of packed q8 tiles: of `rows` rows of K values (K a multiple of 32), and from the buffer's start to tile t.
constexpr size_t q8_bytes(size_t rows, size_t k) { return rows * (k / kGroup) * kQ8GroupBytes; }
constexpr size_t q8_tile_offset(size_t tile, size_t k) { return q8_bytes(tile * kTileRows, k); }
constexpr size_t tile_count(size_t rows) { return (rows + kTileRows - 1) / kTileRows; }
constexpr size_t panel_count(size_t n) { return (n + kPanelOutputs - 1) / kPanelOutputs; }

// Which input a weight's kernels read: float32 for F32, F16 and BF16 weights, packed q8 tiles for the quantized ones.
constexpr bool reads_q8(Format format) { return format != Format::f32 && format != Format::f16 && format != Format::bf16; }

struct LinearWeight {
  const std::byte* panels = nullptr;  // packed, kQ8Alignment-aligned; panel p starts at p * panel_bytes(format, k)
  Format format = Format::f32;
  const float* bias = nullptr;  // [N] or null
};

// y[t][n] = residual[t][n] + act(w x[t] + bias)[n], or with `up`: y = act(w x + bias) * (up x + up.bias); residual as well if given.
// The order, per output: the sum over K (kernels/linear_q8.h, linear_f32.h), + bias, activation, * up, residual + that.
struct LinearArgs {
  LinearWeight w;
  LinearWeight up;  // panels null: not gated. Same N, K and kind of input as w; the format may differ
  Activation activation = Activation::none;
  size_t n = 0, k = 0, rows = 0;  // K a multiple of the format's block
  const std::byte* q8 = nullptr;  // packed tiles of all T rows, when reads_q8(w.format)
  const float* x = nullptr;       // else float32 rows, x_stride floats apart
  size_t x_stride = 0;
  float* y = nullptr;  // [T N], y_stride floats apart; only n < N is written
  size_t y_stride = 0;
  const float* residual = nullptr;  // may be y (in place), or null
  size_t residual_stride = 0;
};

// Norm over each row, to float32 rows (y), to q8 tiles, or both.
//   rms     r = 1 / sqrt(sum(x x) / K + eps);                        y = (x * r) * gain
//   layer   mu = sum(x) / K; r = 1 / sqrt(sum((x-mu)(x-mu)) / K + eps);  y = fma((x - mu) * r, gain, bias)
// Sums: 32 lanes, lane j takes K = j, j + 32, ... in ascending order (fma for squares), then lanes are added pairwise at distance 16, 8, 4, 2, 1.
struct NormArgs {
  const float* x = nullptr;  // [T K]; any K for y, a multiple of 32 for q8
  size_t x_stride = 0;
  const float* gain = nullptr;  // [K] or null (1)
  const float* bias = nullptr;  // [K] or null (0); layer norm only
  float eps = 0;
  size_t rows = 0, k = 0;
  float* y = nullptr;  // [T K] or null; may be x
  size_t y_stride = 0;
  std::byte* q8 = nullptr;          // tiles of all T rows, or null
  const float* residual = nullptr;  // y = residual + norm(x), or null; may be y. Applied to y and q8
  size_t residual_stride = 0;
};

// x[T][K] into q8 tiles, K a multiple of 32. A group with max|x| <= 2^-100 is all zero; a group with a value that is not finite has a scale that is not.
struct QuantizeArgs {
  const float* x = nullptr;
  size_t x_stride = 0;
  size_t rows = 0, k = 0;
  std::byte* q8 = nullptr;
};

// y = act(gate) * up; up null: act(gate). May be in place.   [T F] each
struct ActivateArgs {
  const float* gate = nullptr;
  size_t gate_stride = 0;
  const float* up = nullptr;
  size_t up_stride = 0;
  float* y = nullptr;
  size_t y_stride = 0;
  size_t width = 0;
  Activation activation = Activation::none;
};

struct CpuKernels {
  const char* name;  // "avx512"
  // Panels [panel_begin, panel_end) of 32 outputs, for tiles [tile_begin, tile_end) of 6 rows. Same function for 1 row and 512.
  void (*linear)(const LinearArgs&, size_t panel_begin, size_t panel_end, size_t tile_begin, size_t tile_end);
  // Rows [row_begin, row_end).
  void (*rms_norm)(const NormArgs&, size_t row_begin, size_t row_end);
  void (*layer_norm)(const NormArgs&, size_t row_begin, size_t row_end);
  void (*quantize)(const QuantizeArgs&, size_t row_begin, size_t row_end);
  void (*activate)(const ActivateArgs&, size_t row_begin, size_t row_end);
  // A panel of any format but F32 as float32 [K][32], the panel layout of F32 weights: bit-equal to the dequantized rows (kernels/unpack.h).
  void (*unpack)(Format format, const std::byte* panel, size_t k, float* out);
  // Limits of the machine, measured with this instruction set (roofline.h): operations done by `rounds` rounds; the result defeats the optimiser.
  uint64_t (*read_bytes)(const std::byte* data, size_t bytes);  // reads every cache line once
  uint64_t (*dot_peak)(size_t rounds, float* sink);             // int8 multiply-adds done
  uint64_t (*fma_peak)(size_t rounds, float* sink);             // float32 multiply-adds done
};

}  // namespace kl::cpu
