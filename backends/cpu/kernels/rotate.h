// row R in place, R the normalised Walsh-Hadamard matrix of blocks (backend/kv_page.h): the reference's order, so the reference's bits.
#pragma once
#include "cpu/simd/common.h"

namespace kl::cpu {
namespace {

template <class S>
[[gnu::noinline]] void rotate(float* row, uint32_t head_size) {
  const uint32_t block = head_size & (~head_size + 1);
  const float factor = 1.0f / __builtin_sqrtf(static_cast<float>(block));
  for (uint32_t distance = 1; distance < block; distance *= 2) {
    for (uint32_t first = 0; first < head_size; first += 2 * distance) {
      float* __restrict low = row + first;
      float* __restrict high = low + distance;
      for (uint32_t i = 0; i < distance; ++i) {
        const float a = low[i], b = high[i];
        low[i] = a + b;
        high[i] = a - b;
      }
    }
  }
  for (uint32_t i = 0; i < head_size; ++i) row[i] *= factor;
}

}  // namespace
}  // namespace kl::cpu
