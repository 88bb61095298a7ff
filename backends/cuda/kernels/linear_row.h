// Arguments of linear_row and of qkv_row.cu. Host and device.
#pragma once
#include "core/format.h"
#include "cuda/kernels/kv_write.h"
#include "cuda/kernels/linear.h"

namespace kl::cuda {

// Tiles of 64 inputs, over a block's rows, that lie in shared memory at a time, and what one takes there: 40 KB together, so that they and what stands beside them
// need no more than the 48 KB that every card gives a block. Wider rows go in piece by piece.
inline constexpr uint32_t kRowInputTiles = 512, kRowTileBytes = 64 + 2 * 2 * sizeof(float);

// The inputs of a block's rows. Rounded to 8 bits by a launch before, or by the block itself, or float32; the latter two normed before, where there is a gain.
struct RowInputs {
  Quantized q;        // rounded before, or null
  const float* x;     // [T K], where q is null
  const float* gain;  // [K] or null: RMS norm of each row of x
  float eps;
  uint32_t k, tiles;
  uint32_t chunk;  // 8-bit inputs: tiles in shared memory at a time, a multiple of the chains
};

struct LinearRowArgs {
  LinearArgs linear;
  RowInputs in;
};

// One of the products q, k and v, which stand side by side in the grid.
struct QkvPart {
  Matrix w;
  const float* bias;     // [N] or null
  float* y;              // [T N]
  uint32_t first_panel;  // block of the grid
  Format format;
};

struct QkvRowArgs {
  RowInputs in;
  QkvPart parts[3];
  KvWriteArgs heads;   // what is done to a head once its product is complete; its q, k, v are the parts' y
  uint32_t* counters;  // [heads + 2 kv_heads] (common/arrive.cuh)
  KvFormat kv;
};

// Tiles of `rows` rows (at most kLinearRowRows) that are in shared memory at a time, and the bytes.
constexpr uint32_t row_chunk(uint32_t tiles, uint32_t rows) {
  const uint32_t whole = (tiles + kLinearChains - 1) / kLinearChains * kLinearChains,
                 most = kRowInputTiles / rows / kLinearChains * kLinearChains;
  return whole < most ? whole : most;
}
constexpr uint32_t row_chunk_bytes(uint32_t chunk, uint32_t rows) { return chunk * rows * kRowTileBytes; }

}  // namespace kl::cuda
