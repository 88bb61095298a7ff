// mma.sync as the PTX ISA defines its fragments, and cp.async, for backends/cuda/common/{mma,async}.cuh. Group g = lane / 4, thread q = lane % 4.
#pragma once
#include "core/half.h"
#include "cuda_host/emulation.h"

namespace kl::cuda_host {

// D[16][8] = A[16][16] B[16][8] + C, binary16 in, float32 out. A: register i, half h is row g + 8 (i % 2), column 2q + h + 8 (i / 2); B: register i, half h is row
// 2q + h + 8 i, column g; C: register i is row g + 8 (i / 2), column 2q + i % 2. The card's order of additions is its own; here products are summed in
// double and rounded once.
inline void mma_f16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const Site& site) {
  const uint32_t words[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const Gathered all = gather(kFullMask, words, 6, "mma m16n8k16", site);
  const uint32_t g = lane() / 4, q = lane() % 4;
  const auto half = [](uint32_t word, uint32_t h) { return static_cast<double>(f16_to_f32(static_cast<uint16_t>(word >> (16 * h)))); };
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t row = g + 8 * (i / 2), column = 2 * q + i % 2;
    double sum = static_cast<double>(c[i]);
    for (uint32_t k = 0; k < 16; ++k) {
      const uint32_t upper = k / 8, holder = k % 8 / 2;
      sum += half(all.words[row % 8 * 4 + holder][row / 8 + 2 * upper], k % 2) * half(all.words[column * 4 + holder][4 + upper], k % 2);
    }
    c[i] = static_cast<float>(sum);
  }
}

// D[16][8] = A[16][K] B[K][8] + C, signed bytes in, int32 out, K = 32 or 16 (kParts = K / 16). A: register i, byte j is row g + 8 (i % 2), column
// 4q + j + 16 (i / 2); B: register i, byte j is row 4q + j + 16 i, column g; C as above.
template <uint32_t kParts>
inline void mma_s8(int32_t (&c)[4], const uint32_t (&a)[2 * kParts], const uint32_t (&b)[kParts], const Site& site) {
  uint32_t words[3 * kParts];
  for (uint32_t i = 0; i < 2 * kParts; ++i) words[i] = a[i];
  for (uint32_t i = 0; i < kParts; ++i) words[2 * kParts + i] = b[i];
  const Gathered all = gather(kFullMask, words, 3 * kParts, kParts == 2 ? "mma m16n8k32" : "mma m16n8k16 s8", site);
  const uint32_t g = lane() / 4, q = lane() % 4;
  const auto byte = [](uint32_t word, uint32_t j) { return static_cast<int32_t>(static_cast<int8_t>(word >> (8 * j))); };
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t row = g + 8 * (i / 2), column = 2 * q + i % 2;
    for (uint32_t k = 0; k < 16 * kParts; ++k) {
      const uint32_t upper = k / 16, holder = k % 16 / 4;
      c[i] += byte(all.words[row % 8 * 4 + holder][row / 8 + 2 * upper], k % 4) *
              byte(all.words[column * 4 + holder][2 * kParts + upper], k % 4);
    }
  }
}

}  // namespace kl::cuda_host
