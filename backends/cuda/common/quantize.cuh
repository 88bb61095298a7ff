// Four neighbouring inputs of a linear to 8 bits (numbers.cuh: groups of 32, a scale each): what quantize.cu, the norm before a linear and the linears that round
// their own inputs write, where linear.h has it.
#pragma once
#include "cuda/common/numbers.cuh"
#include "cuda/kernels/quantize.h"

namespace kl::cuda {

struct RoundedFour {
  uint32_t codes;
  float scale, sum;  // of the group
};

// All lanes of a warp call this, with consecutive fours: 8 lanes are a group.
KL_DEVICE RoundedFour round_four(const float (&x)[4]) {
  uint32_t most = 0;
  KL_UNROLL
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t magnitude = __float_as_uint(x[i]) & 0x7fffffffu;
    most = magnitude > most ? magnitude : most;
  }
  KL_UNROLL
  for (int step = 1; step < 8; step *= 2) {
    const uint32_t other = __shfl_xor_sync(kFullWarp, most, step);
    most = other > most ? other : most;
  }
  const GroupScale s = group_scale(most);
  uint32_t packed = 0;
  int32_t sum = 0;
  KL_UNROLL
  for (uint32_t i = 0; i < 4; ++i) {
    const int32_t code = __float2int_rn(x[i] * s.inverse);
    packed |= (static_cast<uint32_t>(code) & 255u) << (8 * i);
    sum += code;
  }
  KL_UNROLL
  for (int step = 1; step < 8; step *= 2) sum += __shfl_xor_sync(kFullWarp, sum, step);
  return {packed, s.scale, s.scale * static_cast<float>(sum)};
}

// Where the codes of four `at` lie among a row's tiles, in words.
KL_DEVICE uint32_t word_of_four(uint32_t at) { return at / 16 * 16 + at % 4 * 4 + at % 16 / 4; }

// `at`: the four's number in row t, consecutive over the lanes of a warp, whose all lanes call this; zeros behind K, nothing is written behind the last tile.
KL_DEVICE void quantize_four(const QuantizedRows& to, uint32_t t, uint32_t at, const float (&x)[4]) {
  const RoundedFour four = round_four(x);
  if (at >= to.tiles * 16) return;
  reinterpret_cast<uint32_t*>(to.codes)[static_cast<uint64_t>(t) * to.tiles * 16 + word_of_four(at)] = four.codes;
  if (at % 8 == 0) {
    const uint64_t group = static_cast<uint64_t>(t) * to.tiles * 2 + at / 8;
    to.scale[group] = four.scale;
    to.sum[group] = four.sum;
  }
}

}  // namespace kl::cuda
