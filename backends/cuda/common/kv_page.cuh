// What kernels that read or write cache pages share: where a head lies, and the rotation of kv/q4 (backend/kv_page.h has the formula and the layouts).
#pragma once
#include "core/format.h"
#include "cuda/common/kernel.cuh"
#include "cuda/common/kv_pages.h"
#include "cuda/common/numbers.cuh"

namespace kl::cuda {

constexpr uint32_t kPageTokens = 32;
constexpr uint32_t kMaxHead = 1024;

// Dimensions that share a scale.
template <KvFormat F>
constexpr uint32_t kKGroup = F == KvFormat::q8 ? 32 : 64;
constexpr uint32_t kVGroup = 32;

// A head of the page that holds a position of a sequence.
KL_DEVICE uint8_t* head_of(const KvPages& p, uint32_t sequence, uint32_t position, uint32_t head) {
  const uint64_t page = p.table[static_cast<uint64_t>(sequence) * p.table_stride + position / kPageTokens];
  return p.cache + page * p.page_bytes + static_cast<uint64_t>(head) * p.head_bytes;
}

// rows [count][size] -> rows R in place, by `threads` threads together: a warp, or the block. Complete for all of them when it returns.
// Order: butterflies (a + b, a - b) at distance 1, 2, 4, ..., then one multiplication.
template <bool kWarp>
KL_DEVICE void rotate_rows(SharedPointer<float> rows, uint32_t count, uint32_t size, uint32_t thread, uint32_t threads) {
  const auto meet = [] {
    if constexpr (kWarp) {
      __syncwarp();
    } else {
      __syncthreads();
    }
  };
  const uint32_t block = size & (~size + 1), half = size / 2;
  meet();
  for (uint32_t distance = 1; distance < block; distance *= 2) {
    for (uint32_t i = thread; i < count * half; i += threads) {
      const uint32_t in = i % half, at = i / half * size + 2 * distance * (in / distance) + in % distance;
      const float a = rows[at], b = rows[at + distance];
      rows[at] = a + b;
      rows[at + distance] = a - b;
    }
    meet();
  }
  const float factor = 1.0f / sqrtf(static_cast<float>(block));
  for (uint32_t i = thread; i < count * size; i += threads) rows[i] = rows[i] * factor;
  meet();
}

}  // namespace kl::cuda
