// Arguments of linear_row, linear_eight and qkv_row.cu. Host and device.
#pragma once
#include "core/format.h"
#include "cuda/kernels/kv_write.h"
#include "cuda/kernels/linear.h"

namespace kl::cuda {

// Tiles of 64 inputs, over a block's rows, that lie in shared memory at a time, and what one takes there. linear_row: 40 KB together, so that they and what stands beside
// them need no more than the 48 KB that every card gives a block. linear_eight: 80 KB, 8,192 inputs of 8 rows, which the cards that it runs on have. Wider rows go in piece
// by piece.
inline constexpr uint32_t kRowInputTiles = 512, kEightInputTiles = 1024, kRowTileBytes = 64 + 2 * 2 * sizeof(float);

// The inputs of a block's rows. Rounded to 8 bits by a launch before, or by the block itself, or float32; the latter two normed before, where there is a gain.
struct RowInputs {
  Quantized q;        // rounded before, or null
  const float* x;     // [T K], where q is null
  const float* gain;  // [K] or null: RMS norm of each row of x
  float eps;
  uint32_t k, tiles;
  uint32_t rows;   // of a block, at most: what shared memory is laid out for
  uint32_t chunk;  // 8-bit inputs: tiles in shared memory at a time, a multiple of the chains
};

// What the last block of a launch does with the rows that all of it made: y = residual + norm(y), RMS; N is a multiple of 4.
struct RowNorm {
  const float* gain;      // [N], or null: nothing
  const float* residual;  // [T N]
  float eps;
  uint32_t* counter;  // (common/arrive.cuh)
};

struct LinearRowArgs {
  LinearArgs linear;
  RowInputs in;
  RowNorm after;
};

// One of the products q, k and v, which stand side by side in the grid.
struct QkvPart {
  Matrix w;
  const float* bias;     // [N] or null
  float* y;              // [T N]
  uint32_t first_block;  // of the grid
  Format format;
};

struct QkvRowArgs {
  RowInputs in;
  QkvPart parts[3];
  KvWriteArgs heads;   // what is done to a head once its product is complete; its q, k, v are the parts' y
  uint32_t* counters;  // [heads + 2 kv_heads] (common/arrive.cuh)
  KvFormat kv;
};

// Tiles of `rows` rows (at most kLinearRowRows) that are in shared memory at a time, of input_tiles over all rows, and the bytes.
constexpr uint32_t row_chunk(uint32_t tiles, uint32_t rows, uint32_t input_tiles) {
  const uint32_t whole = (tiles + kLinearChains - 1) / kLinearChains * kLinearChains,
                 most = input_tiles / rows / kLinearChains * kLinearChains;
  return whole < most ? whole : most;
}
constexpr uint32_t row_chunk_bytes(const RowInputs& in) { return in.chunk * in.rows * kRowTileBytes; }
// Where the chains of a block's panels meet, in dynamic memory before the inputs: floats of a panel.
inline constexpr uint32_t kRowChainFloats = kLinearChains * kLinearRowRows * 16;
constexpr uint32_t row_chains_bytes(uint32_t threads) { return threads / kLinearRowThreads * kRowChainFloats * sizeof(float); }

}  // namespace kl::cuda
