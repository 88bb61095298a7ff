// Arguments of attention.cu and dense_attention.cu. Host and device.
#pragma once
#include "cuda/common/kernel_args.h"
#include "cuda/common/kv_pages.h"

namespace kl::cuda {

inline constexpr uint32_t kSpan = 256;  // keys of a partial result; the threads of a block
inline constexpr uint32_t kAttentionThreads = kSpan;
inline constexpr uint32_t kAttentionQueries = 8;  // (row, head) pairs of a block, at most
inline constexpr uint32_t kQueryFloats = 2048;    // a block's queries: queries * D at most

// What a block of head size D takes. Host: kernels have it in their arguments.
constexpr uint32_t queries_of(uint32_t head_size) {
  const uint32_t most = kQueryFloats / head_size;
  return most < kAttentionQueries ? most : kAttentionQueries;
}

struct AttentionArgs {
  const float* q;      // [T H*D]
  float* y;            // [T H*D]
  float* partial;      // [T][H][spans][2 + D]: maximum, sum, weighted sum of V; null: the block walks all spans
  uint32_t* counters;  // [T][blocks of a row's span], with partial (common/arrive.cuh)
  const float* sinks;  // [H] or null
  KvPages pages;
  const uint32_t* row_span;  // [T 2] of the step
  RowCount rows;
  uint32_t heads, kv_heads, head_size;
  uint32_t queries;  // of a block, at most
  uint32_t window;   // 0: all earlier tokens
  uint32_t spans;    // of a row, at most
  float scale, cap;
};

struct DenseAttentionArgs {
  const float* q;  // [T H*D] each
  const float* k;
  const float* v;
  float* y;
  const uint32_t* row_range;  // [T 2] of the step
  RowCount rows;
  uint32_t heads, head_size;
  uint32_t queries;  // rows of a block, at most
  float scale;
};

}  // namespace kl::cuda
