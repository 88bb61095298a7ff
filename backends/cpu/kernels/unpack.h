// A panel of weights of any other format as float32:  out[k][o] = w[o][k], k ascending, 32 outputs side by side: the panel layout of F32 weights.
// For linears whose activations stay float32 (or f16): the float kernel then runs over the result, which lies in cache.
//
// Values    bit-equal to dequantizing the canonical row (core/formats): code * scale, + or - minimum, each rounded once.
// How       a code is the integer dot of its four with a unit, so that the kernels' own readers of every format serve here as they are.
// Bound     two vector instructions more than a multiplication and a store per value: about 0.1 ns a weight on AVX-512.
#pragma once
#include "cpu/kernels/linear_f32.h"
#include "cpu/kernels/linear_q8.h"

namespace kl::cpu {
namespace {

template <class D, int kMax, int kInitial>
KL_INLINE auto code_at(const typename D::Codes& codes, int b) {
  alignas(4) static constexpr std::byte kUnits[4][4] = {{std::byte{1}},
                                                        {std::byte{0}, std::byte{1}},
                                                        {std::byte{0}, std::byte{0}, std::byte{1}},
                                                        {std::byte{0}, std::byte{0}, std::byte{0}, std::byte{1}}};
  return D::template finish<kMax>(D::template add<kMax>(D::template start<kMax>(kInitial), codes, D::load_four(kUnits[b])), kInitial);
}

template <class S, class D, class P>
[[gnu::noinline]] void unpack_blocks(const std::byte* panel, size_t k, float* out) {
  constexpr int kInitial = P::kOffset == 0 || (P::kMax == 128 && D::kSignedCodes) ? 0 : -P::kOffset;
  using Codes = typename D::Codes;
  for (size_t block = 0; block < k / (32 * P::kGroups); ++block) {
    const typename P::template Header<S, D> header(panel);
    panel += P::kHeaderBytes;
    for (int g = 0; g < P::kGroups; ++g, panel += P::kGroupBytes, out += 32 * 32) {
      for (int v = 0; v < D::kVectors; ++v) {
        const auto d = P::template scale<S, D>(header, panel, g, v);
        Codes plane = D::load(panel);  // fifth bits, where the format has them
        if constexpr (P::kHasPlane) plane = D::load(panel + static_cast<int>(sizeof(Codes)) * v);
        const auto put = [&](const Codes& codes, int step) KL_ALWAYS_INLINE {
          for (int b = 0; b < 4; ++b) {
            auto value = S::to_float(code_at<D, P::kMax, kInitial>(codes, b)) * d;
            if constexpr (P::kMinimum) {
              const auto m = P::template minimum<S, D>(header, panel, g, v);
              value = P::kSubtracted ? value - m : value + m;
            }
            S::store(out + 32 * (4 * step + b) + S::kLanes * v, value);
          }
        };
        unroll<4>([&](auto i) KL_ALWAYS_INLINE {
          constexpr int kI = decltype(i)::value;
          Codes lo, hi;
          P::template codes<S, D, kI>(panel, plane, v, lo, hi);
          put(lo, P::kStep(kI, 0));
          put(hi, P::kStep(kI, 1));
        });
      }
    }
  }
}

template <class S, class D>
[[gnu::noinline]] void unpack_q6k(const std::byte* panel, size_t k, float* out) {
  constexpr int kVectorBytes = sizeof(typename D::Codes);
  for (size_t block = 0; block < k / 256; ++block) {
    const std::byte* header = panel;
    panel += PackedQ6K::kHeaderBytes;
    for (int g = 0; g < PackedQ6K::kGroups; ++g, panel += PackedQ6K::kGroupBytes, out += 32 * 32) {
      for (int v = 0; v < D::kVectors; ++v) {
        unroll<2>([&](auto half) KL_ALWAYS_INLINE {
          constexpr int kHalf = decltype(half)::value;
          const auto scale = S::to_float(S::load_i8(header + 32 * (2 * g + kHalf) + S::kLanes * v));
          const auto d = f16_line<S>(header + 512, v) * scale;
          const auto upper = D::load(panel + 128 * kHalf + kVectorBytes * v);
          unroll<4>([&](auto i) KL_ALWAYS_INLINE {
            constexpr int kI = decltype(i)::value;
            const auto nibbles = D::load(panel + 256 + 128 * kI + kVectorBytes * v);
            const auto codes = D::either(kHalf == 0 ? D::low(nibbles) : D::high(nibbles), D::template move_bits<2 * kI, 4, 0x30>(upper));
            for (int b = 0; b < 4; ++b) {
              S::store(out + 32 * (16 * kHalf + 4 * kI + b) + S::kLanes * v, S::to_float(code_at<D, 63, -32>(codes, b)) * d);
            }
          });
        });
      }
    }
  }
}

// 16-bit floats are widened: exact.
template <class S, class P>
[[gnu::noinline]] void widen(const std::byte* panel, size_t k, float* out) {
  for (size_t i = 0; i < 32 * k; i += S::kLanes) S::store(out + i, P::template load<S>(panel + i * P::kBytes));
}

// out [K][32]; any format but f32.
template <class S, class D>
void unpack_panel(Format format, const std::byte* panel, size_t k, float* out) {
  switch (format) {
    case Format::q4_0:
      return unpack_blocks<S, D, PackedQ4_0>(panel, k, out);
    case Format::q4_1:
      return unpack_blocks<S, D, PackedQ4_1>(panel, k, out);
    case Format::q5_0:
      return unpack_blocks<S, D, PackedQ5_0>(panel, k, out);
    case Format::q5_1:
      return unpack_blocks<S, D, PackedQ5_1>(panel, k, out);
    case Format::q8_0:
      return unpack_blocks<S, D, PackedQ8_0>(panel, k, out);
    case Format::q4_k:
      return unpack_blocks<S, D, PackedQ4K>(panel, k, out);
    case Format::q5_k:
      return unpack_blocks<S, D, PackedQ5K>(panel, k, out);
    case Format::q6_k:
      return unpack_q6k<S, D>(panel, k, out);
    case Format::iq4_nl:
      return unpack_blocks<S, D, PackedIq4Nl>(panel, k, out);
    case Format::mxfp4:
      return unpack_blocks<S, D, PackedMxfp4>(panel, k, out);
    case Format::f16:
      return widen<S, PanelF16>(panel, k, out);
    case Format::bf16:
      return widen<S, PanelBf16>(panel, k, out);
    case Format::f32:
      return;  // read as it is
  }
}

}  // namespace
}  // namespace kl::cpu
