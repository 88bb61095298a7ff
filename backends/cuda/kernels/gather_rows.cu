// gather_rows: y[t] = scale * table[i], i an int32 of the step's row; i < 0: zeros, or feature row -1 - i, unscaled.     table [V M] -> y [T M]
// i < kFedTokensEnd: what output i - kFedToken of the step before drew.
// A thread writes eight values: the share of one lane (common/weights.cuh) in one block of 32 of the row. Grid (ceil(ceil(M / 32) / 32), T).
#include "cuda/kernels/gather_rows.h"

#include "cuda/common/weights.cuh"

namespace kl::cuda {

namespace {

template <Format F>
KL_DEVICE void gather(const GatherRowsArgs& a) {
  const uint32_t t = blockIdx.y, item = blockIdx.x * kGatherRowsThreads + threadIdx.x, block = item / 4, q = item % 4, width = a.table.k;
  if (t >= live_rows(a.rows) || 32 * block >= width) return;
  int32_t index = a.index[t * a.stride];
  if (index < kFedTokensEnd) {
    index = a.fed != nullptr ? a.fed[index - kFedToken] : 0;
    if (index < 0) index = 0;  // not drawn: any token, for nobody asks what comes of it
  }
  float w[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  const auto id = static_cast<uint32_t>(index), from = static_cast<uint32_t>(-1 - index);
  const bool feature = index < 0 && from < a.feature_rows;
  if (index >= 0 && id < a.table.n) {
    Tile<F> tile;
    tile.load(a.table, id / 16, block / 2, id % 8 * 4 + q);
    tile.floats(block % 2, id % 16 / 8, w);
  }
  KL_UNROLL
  for (uint32_t j = 0; j < 8; ++j) {
    const uint32_t k = 32 * block + j / 4 * 16 + 4 * q + j % 4;
    if (k < width)
      a.y[static_cast<uint64_t>(t) * width + k] = feature ? a.features[static_cast<uint64_t>(from) * width + k] : w[j] * a.scale;
  }
}

}  // namespace

#define KL_FORMAT(F) \
  KL_KERNEL(gather_rows__##F, GatherRowsArgs, kGatherRowsThreads) { gather<Format::F>(a); }
KL_WEIGHT_FORMATS(KL_FORMAT)
#undef KL_FORMAT

}  // namespace kl::cuda
