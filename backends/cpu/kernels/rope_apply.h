// x[t][h] turned by the angles of row t:  (a, b) -> (a cos - b sin, a sin + b cos) for each pair; dimensions from `dims` on pass.
// Two products and one sum, each rounded: the same bits on every instruction set. Pairs and table: isa/attention_kernels.h.
#pragma once
#include "cpu/simd/common.h"
#include "ir/op.h"

namespace kl::cpu {
namespace {

template <class S>
[[gnu::noinline]] void rope(float* x, size_t x_stride, const float* table, uint32_t rows, uint32_t heads, uint32_t head_size, uint32_t dims,
                            RopeStyle style) {
  const uint32_t pairs = dims / 2;
  for (uint32_t t = 0; t < rows; ++t) {
    const float* __restrict cosine = table + static_cast<size_t>(t) * dims;
    const float* __restrict sine = cosine + pairs;
    for (uint32_t h = 0; h < heads; ++h) {
      float* __restrict head = x + t * x_stride + static_cast<size_t>(h) * head_size;
      if (style == RopeStyle::neighbours) {
        for (uint32_t i = 0; i < pairs; ++i) {
          const float a = head[2 * i], b = head[2 * i + 1];
          head[2 * i] = a * cosine[i] - b * sine[i];
          head[2 * i + 1] = a * sine[i] + b * cosine[i];
        }
      } else {
        float* __restrict upper = head + pairs;
        for (uint32_t i = 0; i < pairs; ++i) {
          const float a = head[i], b = upper[i];
          head[i] = a * cosine[i] - b * sine[i];
          upper[i] = a * sine[i] + b * cosine[i];
        }
      }
    }
  }
}

}  // namespace
}  // namespace kl::cpu
