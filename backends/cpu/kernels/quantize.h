// A row of float32 into packed q8 tiles (isa/kernels.h): groups of 32, s = max|x| / 127, q = round_to_even(x * (127 / max|x|)).
// Order     nothing is accumulated in floats; sums are of integers. max|x| is taken over the bit patterns, where a NaN is above everything: a group with
//           one gets a NaN scale, so it is not lost on the way to the logits.
// Bound     about 0.3 ns a value and thread; it runs once per row while the weights it meets have N rows.
#pragma once
#include "cpu/isa/kernels.h"
#include "cpu/simd/common.h"

namespace kl::cpu {
namespace {

// Where row t of `rows` begins: its tile's first group, row r of R.
struct Q8Row {
  std::byte* group;
  size_t tile_rows, r;
};
KL_INLINE Q8Row q8_row(std::byte* q8, size_t row, size_t rows, size_t k) {
  const size_t tile = row / kTileRows, left = rows - tile * kTileRows;
  return {q8 + tile * kTileRows * (k / kGroup) * kQ8GroupBytes, left < kTileRows ? left : kTileRows, row % kTileRows};
}

template <class T>
KL_INLINE void put_word(std::byte* group, size_t index, T value) {
  __builtin_memcpy(group + 4 * index, &value, 4);
}

// 32 values (x) into the group at `at`; moves on to the next group.
template <class S>
KL_INLINE void quantize_group(const float* x, Q8Row& at) {
  constexpr int kVectors = kGroup / S::kLanes;
  typename S::F value[kVectors];
  auto most = S::set_int(0);
  unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE {
    value[v] = S::load(x + S::kLanes * v);
    most = S::max_int(most, S::bits(S::abs(value[v])));
  });
  const int32_t most_bits = S::reduce_max(most);
  float largest;
  __builtin_memcpy(&largest, &most_bits, 4);
  const bool zero = largest <= 0x1p-100f;  // 127 / largest would leave the range; a group this small counts as nothing
  const float scale = zero ? 0.0f : largest / 127.0f;
  const auto inverse = S::set(zero ? 0.0f : 127.0f / largest);
  alignas(64) int8_t q[kGroup];
  unroll<kVectors>([&](auto v) KL_ALWAYS_INLINE { S::store_i8(q + S::kLanes * v, S::round(value[v] * inverse)); });
  const int32_t half[2] = {S::sum_bytes(q), S::sum_bytes(q + kGroup / 2)};
  const size_t rows = at.tile_rows, r = at.r;
  put_word(at.group, r, scale);
  put_word(at.group, rows + r, scale * static_cast<float>(half[0] + half[1]));
  put_word(at.group, 2 * rows + r, -8 * (half[0] + half[1]));
  put_word(at.group, 3 * rows + r, -32 * half[0]);
  put_word(at.group, 4 * rows + r, -32 * half[1]);
  std::byte* steps = at.group + 20 * rows + 4 * r;
  for (size_t s = 0; s < kGroup / 4; ++s) __builtin_memcpy(steps + 4 * rows * s, q + 4 * s, 4);
  at.group += kQ8GroupBytes * rows;
}

template <class S>
[[gnu::noinline]] void quantize(const QuantizeArgs& args, size_t row_begin, size_t row_end) {
  for (size_t row = row_begin; row < row_end; ++row) {
    Q8Row at = q8_row(args.q8, row, args.rows, args.k);
    const float* x = args.x + row * args.x_stride;
    for (size_t k = 0; k < args.k; k += kGroup) quantize_group<S>(x + k, at);
  }
}

}  // namespace
}  // namespace kl::cpu
