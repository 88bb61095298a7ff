// Arguments of kv_write.cu. Host and device.
#pragma once
#include "cuda/common/kernel_args.h"
#include "cuda/common/kv_pages.h"

namespace kl::cuda {

inline constexpr uint32_t kKvWriteWarps = 4;  // heads of a block
inline constexpr uint32_t kKvWriteThreads = 32 * kKvWriteWarps;

struct KvWriteArgs {
  const float* q;  // [T heads*D]; heads 0: none
  const float* k;  // [T kv_heads*D]
  const float* v;  // [T kv_heads*D]
  float* q_out;    // [T heads*D]
  KvPages pages;
  const float* q_gain;        // [D] or null: RMS norm of each head of q before it is turned
  const float* k_gain;        // [D] or null
  const int32_t* positions;   // [T 3] of the step; not read where pairs is 0
  const float* turn;          // as RopeArgs::turn
  const uint32_t* component;  // as RopeArgs::component
  RowCount rows;
  uint32_t heads, kv_heads, head_size;
  uint32_t pairs;   // turned; 0: none
  bool neighbours;  // pairs (2i, 2i+1), else (i, i + pairs)
  float eps;
};

}  // namespace kl::cuda
