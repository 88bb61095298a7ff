#include "cpu/kernels/attention_support.h"

#include <algorithm>

#include "cpu/isa/attention_kernels.h"

namespace kl::cpu {

KvPageLayout page_layout(const KvPageShape& shape) { return kv_page_layout(shape); }

// Mirrors lay_out() in kernels/attention.h.
size_t attention_scratch_bytes(const KvPageShape& shape, uint32_t heads) {
  const size_t group = heads / shape.kv_heads, size = shape.head_size, stride = round_up(size, 16);
  const size_t queries = std::max<size_t>(1, kTileQueries / group) * group;
  const size_t floats =
      3 * queries * stride + 3 * round_up(queries, 16) + queries * kKvPageTokens + 6 * kKvPageTokens + 2 * size * kKvPageTokens + 16;
  return round_up(floats * sizeof(float), 64);
}

// Mirrors lay_out_dense() in kernels/dense_attention.h.
size_t dense_scratch_bytes(uint32_t head_size) {
  const size_t stride = round_up(head_size, 16);
  return round_up((2 * kDenseTileRows * stride + 2 * kDenseTileRows + 6 * kSpanTokens + 6 * stride) * sizeof(float), 64);
}

}  // namespace kl::cpu
