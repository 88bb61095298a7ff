// Linear over quantized weights and q8 activations:  sum[t][n] = sum_k w[n][k] x[t][k], for a panel of 32 outputs and a tile of 1 to 6 rows.
//
// Layouts   panel: linear_formats.h; activation tile: isa/kernels.h.
// Order     (the law; the same for every instruction set, number of rows, place in a tile.) Lanes hold outputs. Groups of 32 K in ascending K; per group
//           dot = sum of code * q, an exact integer (below 2^24, so float(dot) is exact too), then
//             Q4_0, Q5_0, Q8_0, IQ4_NL, MXFP4   C = fma(float(dot), round(d * s), C), codes with their offset subtracted
//             Q4_1, Q5_1                        C = fma(m, round(s * sum q), C); C = fma(float(dot), round(d * s), C)
//             Q4_K, Q5_K                        the same with d * scale (exact) for d and -(dmin * minimum) (exact) for m
//             Q6_K                              dot = scale0 * dot0 + scale1 * dot1 (halves of 16 K; exact), then as Q4_0
//           where s is the activation group's scale. C starts at 0.
// Bounds    1 row: panel bytes / read bandwidth. 6 rows: the integer dots; per 32 x 32 x 6 block 96 of them on AVX-512 share their pipes with 12 fma, 12
//           multiplications (and 12 fma more with minima).
// Source    ours; measured choices: lanes over outputs reach 95-102 % of the read bandwidth where lanes over K reached 42-77 %; tiles of 4, 5, 6 and 8
//           rows are alike, 10 and more spill.
#pragma once
#include "cpu/isa/kernels.h"
#include "cpu/kernels/linear_formats.h"

namespace kl::cpu {
namespace {

// A group of an activation tile of kTile rows (0: of `rows` rows, known at run time), seen from row r0 of the tile (4 * r0 bytes on).
template <class D, int kTile>
struct TileGroup {
  const std::byte* at;
  int rows;
  KL_ALWAYS_INLINE int tile() const { return kTile > 0 ? kTile : rows; }
  template <class T>
  KL_ALWAYS_INLINE T word(int index) const {
    T value;
    __builtin_memcpy(&value, at + 4 * index, 4);
    return value;
  }
  KL_ALWAYS_INLINE float scale(int r) const { return word<float>(r); }
  KL_ALWAYS_INLINE float scale_sum(int r) const { return word<float>(tile() + r); }
  KL_ALWAYS_INLINE int32_t sum8(int r) const { return word<int32_t>(2 * tile() + r); }
  KL_ALWAYS_INLINE int32_t half32(int half, int r) const { return word<int32_t>((3 + half) * tile() + r); }
  KL_ALWAYS_INLINE typename D::Four step(int s, int r) const { return D::load_four(at + 20 * tile() + 4 * (s * tile() + r)); }
};

template <class S, class D, class P, int kTile, int kRows>
KL_INLINE void q8_group(const typename P::template Header<S, D>& header, const std::byte* group, int g, TileGroup<D, kTile> a,
                        typename S::F (&c)[D::kVectors][kRows]) {
  using Codes = typename D::Codes;
  constexpr int kColumns = D::template kColumns<kRows>;
  constexpr bool kNoOffset = P::kOffset == 0 || (P::kMax == 128 && D::kSignedCodes);
  unroll<D::kVectors / kColumns>([&](auto pass) KL_ALWAYS_INLINE {
    constexpr int kFirst = decltype(pass)::value * kColumns;
    Codes plane[kColumns];
    if constexpr (P::kHasPlane) {
      unroll<kColumns>([&](auto v) KL_ALWAYS_INLINE { plane[v] = D::load(group + static_cast<int>(sizeof(Codes)) * (kFirst + v)); });
    }
    int32_t initial[kRows];
    typename D::Sum sum[kColumns][kRows];
    unroll<kRows>([&](auto r) KL_ALWAYS_INLINE {
      initial[r] = kNoOffset ? 0 : a.sum8(r) * (P::kOffset / 8);
      const auto start = D::template start<P::kMax>(initial[r]);
      unroll<kColumns>([&](auto v) KL_ALWAYS_INLINE { sum[v][r] = start; });
    });
    unroll<4>([&](auto i) KL_ALWAYS_INLINE {
      constexpr int kI = decltype(i)::value;
      Codes lo[kColumns], hi[kColumns];
      keep_order();
      unroll<kColumns>([&](auto v) KL_ALWAYS_INLINE { P::template codes<S, D, kI>(group, plane[v], kFirst + v, lo[v], hi[v]); });
      unroll<kRows>([&](auto r) KL_ALWAYS_INLINE {
        const auto four = a.step(P::kStep(kI, 0), r);
        unroll<kColumns>([&](auto v) KL_ALWAYS_INLINE { sum[v][r] = D::template add<P::kMax>(sum[v][r], lo[v], four); });
      });
      unroll<kRows>([&](auto r) KL_ALWAYS_INLINE {
        const auto four = a.step(P::kStep(kI, 1), r);
        unroll<kColumns>([&](auto v) KL_ALWAYS_INLINE { sum[v][r] = D::template add<P::kMax>(sum[v][r], hi[v], four); });
      });
    });
    keep_order();
    unroll<kColumns>([&](auto v) KL_ALWAYS_INLINE {
      constexpr int kV = kFirst + decltype(v)::value;
      const auto d = P::template scale<S, D>(header, group, g, kV);
      if constexpr (P::kMinimum) {
        const auto m = P::template minimum<S, D>(header, group, g, kV);
        unroll<kRows>([&](auto r) KL_ALWAYS_INLINE {
          const auto sum_a = S::set(a.scale_sum(r));
          c[kV][r] = P::kSubtracted ? S::fnma(m, sum_a, c[kV][r]) : S::fma(m, sum_a, c[kV][r]);
        });
      }
      unroll<kRows>([&](auto r) KL_ALWAYS_INLINE {
        const auto dot = S::to_float(D::template finish<P::kMax>(sum[v][r], initial[r]));
        c[kV][r] = S::fma(dot, d * S::set(a.scale(r)), c[kV][r]);
      });
    });
  });
}

// Q6_K: halves of 16 K have scales of their own.
template <class S, class D, int kTile, int kRows>
KL_INLINE void q6k_group(const std::byte* header, const std::byte* group, int g, TileGroup<D, kTile> a,
                         typename S::F (&c)[D::kVectors][kRows]) {
  using Codes = typename D::Codes;
  constexpr int kColumns = D::template kColumns<kRows>;
  constexpr int kVectorBytes = sizeof(Codes);
  unroll<D::kVectors / kColumns>([&](auto pass) KL_ALWAYS_INLINE {
    constexpr int kFirst = decltype(pass)::value * kColumns;
    Codes upper[2][kColumns];
    unroll<2>([&](auto h) KL_ALWAYS_INLINE {
      unroll<kColumns>([&](auto v) KL_ALWAYS_INLINE { upper[h][v] = D::load(group + 128 * h + kVectorBytes * (kFirst + v)); });
    });
    typename S::F dots[kColumns][kRows];
    // The sums of kHalves halves side by side: both with few rows, so that nibbles are loaded once; one after the other where registers end.
    constexpr int kHalves = kRows <= 2 ? 2 : 1;
    unroll<2 / kHalves>([&](auto pair) KL_ALWAYS_INLINE {
      constexpr int kHalf = decltype(pair)::value;
      typename D::Sum sum[kHalves][kColumns][kRows];
      int32_t initial[kHalves][kRows];
      unroll<kHalves * kRows>([&](auto at) KL_ALWAYS_INLINE {
        constexpr int kH = decltype(at)::value / kRows, kR = decltype(at)::value % kRows;
        initial[kH][kR] = a.half32(kHalf + kH, kR);
        const auto start = D::template start<63>(initial[kH][kR]);
        unroll<kColumns>([&](auto v) KL_ALWAYS_INLINE { sum[kH][v][kR] = start; });
      });
      unroll<4>([&](auto i) KL_ALWAYS_INLINE {
        constexpr int kI = decltype(i)::value;
        Codes nibbles[kColumns];
        keep_order();
        unroll<kColumns>([&](auto v) KL_ALWAYS_INLINE { nibbles[v] = D::load(group + 256 + 128 * kI + kVectorBytes * (kFirst + v)); });
        unroll<kHalves>([&](auto h) KL_ALWAYS_INLINE {
          constexpr int kH = kHalf + decltype(h)::value;
          Codes codes[kColumns];
          unroll<kColumns>([&](auto v) KL_ALWAYS_INLINE {
            const auto lower = kH == 0 ? D::low(nibbles[v]) : D::high(nibbles[v]);
            codes[v] = D::either(lower, D::template move_bits<2 * kI, 4, 0x30>(upper[kH][v]));
          });
          unroll<kRows>([&](auto r) KL_ALWAYS_INLINE {
            const auto four = a.step(4 * kH + kI, r);
            unroll<kColumns>([&](auto v) KL_ALWAYS_INLINE { sum[h][v][r] = D::template add<63>(sum[h][v][r], codes[v], four); });
          });
        });
      });
      unroll<kHalves>([&](auto h) KL_ALWAYS_INLINE {
        constexpr int kH = kHalf + decltype(h)::value;
        unroll<kColumns>([&](auto v) KL_ALWAYS_INLINE {
          const auto scale = S::to_float(S::load_i8(header + 32 * (2 * g + kH) + S::kLanes * (kFirst + v)));
          unroll<kRows>([&](auto r) KL_ALWAYS_INLINE {
            const auto dot = S::to_float(D::template finish<63>(sum[h][v][r], initial[h][r]));
            dots[v][r] = kH == 0 ? dot * scale : S::fma(dot, scale, dots[v][r]);  // exact: below 2^24
          });
        });
      });
    });
    unroll<kColumns>([&](auto v) KL_ALWAYS_INLINE {
      constexpr int kV = kFirst + decltype(v)::value;
      const auto d = f16_line<S>(header + 512, kV);
      unroll<kRows>([&](auto r) KL_ALWAYS_INLINE { c[kV][r] = S::fma(dots[v][r], d * S::set(a.scale(r)), c[kV][r]); });
    });
  });
}

// kRows rows of a tile of kTile rows; a: the tile's first group, advanced by 4 bytes for every row before these. out [kRows][32].
template <class S, class D, class P, int kTile, int kRows>
[[gnu::noinline]] void q8_rows(const std::byte* panel, const std::byte* a, int tile_rows, size_t k, float* out) {
  typename S::F c[D::kVectors][kRows];
  unroll<D::kVectors>([&](auto v) KL_ALWAYS_INLINE { unroll<kRows>([&](auto r) KL_ALWAYS_INLINE { c[v][r] = S::set(0.0f); }); });
  const size_t group_bytes = kQ8GroupBytes * (kTile > 0 ? static_cast<size_t>(kTile) : static_cast<size_t>(tile_rows));
  for (size_t block = k / (32 * P::kGroups); block != 0; --block) {
    const std::byte* header_at = panel;
    panel += P::kHeaderBytes;
    if constexpr (P::kMax == 63) {
      for (int line = 0; line < P::kHeaderBytes; line += 64) (void)*reinterpret_cast<const volatile uint8_t*>(header_at + line);
      for (int g = 0; g < P::kGroups; ++g, panel += P::kGroupBytes, a += group_bytes) {
        q6k_group<S, D, kTile, kRows>(header_at, panel, g, TileGroup<D, kTile>{a, tile_rows}, c);
      }
    } else {
      const typename P::template Header<S, D> header(header_at);
      for (int g = 0; g < P::kGroups; ++g, panel += P::kGroupBytes, a += group_bytes) {
        q8_group<S, D, P, kTile, kRows>(header, panel, g, TileGroup<D, kTile>{a, tile_rows}, c);
      }
    }
  }
  unroll<kRows>([&](auto r) KL_ALWAYS_INLINE {
    unroll<D::kVectors>([&](auto v) KL_ALWAYS_INLINE { S::store(out + 32 * r + S::kLanes * v, c[v][r]); });
  });
}

// A whole tile of 1 to 6 rows -> out [rows][32]. Where six rows fit the registers, the tile's size is known to the compiler; elsewhere rows pass in
// blocks of two or one, and one function serves every size (compile time and code size matter too: there are ten formats).
template <class S, class D, class P>
KL_INLINE void q8_tile(const std::byte* panel, const std::byte* tile, int rows, size_t k, float* out) {
  if constexpr (D::kRows == kTileRows) {
    switch (rows) {
      case 1:
        return q8_rows<S, D, P, 1, 1>(panel, tile, 1, k, out);
      case 2:
        return q8_rows<S, D, P, 2, 2>(panel, tile, 2, k, out);
      case 3:
        return q8_rows<S, D, P, 3, 3>(panel, tile, 3, k, out);
      case 4:
        return q8_rows<S, D, P, 4, 4>(panel, tile, 4, k, out);
      case 5:
        return q8_rows<S, D, P, 5, 5>(panel, tile, 5, k, out);
      default:
        return q8_rows<S, D, P, 6, 6>(panel, tile, 6, k, out);
    }
  } else {
    int r = 0;
    for (; r + D::kRows <= rows; r += D::kRows) q8_rows<S, D, P, 0, D::kRows>(panel, tile + 4 * r, rows, k, out + 32 * r);
    for (; r < rows; ++r) q8_rows<S, D, P, 0, 1>(panel, tile + 4 * r, rows, k, out + 32 * r);
  }
}

}  // namespace
}  // namespace kl::cpu
