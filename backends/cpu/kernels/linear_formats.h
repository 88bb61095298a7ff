// How a panel of each quantized format is read: codes four K at a time for every output, the scales of 32 K. Bit diagrams: pack/unpack_reference.cpp.
//
// A format names:
//   kGroups, kHeaderBytes, kGroupBytes   a block is a header and kGroups groups of 32 K
//   kMax                                 the largest code (128: signed 8-bit codes, stored plus 128)
//   kOffset                              what is subtracted from a code; it enters as the dot's starting value, -kOffset * sum of a
//   codes<i>(group, vector, lo, hi)      codes of steps kStep(i, 0) and kStep(i, 1) (a step is four K)
//   scale, minimum                       float32 factors of 32 outputs, one vector at a time; kSubtracted: a weight is code * scale - minimum
#pragma once
#include "cpu/simd/common.h"

namespace kl::cpu {
namespace {

// Formats without a header.
struct NoHeader {
  template <class S, class D>
  struct Header {
    KL_ALWAYS_INLINE explicit Header(const std::byte*) {}
  };
  static constexpr int kGroups = 1, kHeaderBytes = 0;
  static constexpr bool kSubtracted = false;
};

// 32 outputs x 32 K of nibbles, 8 lines: byte 128 i + 4 o + b holds K = 4 i + b low, K = 16 + 4 i + b high.
template <int kPlane>
struct Nibbles {
  static constexpr int kStep(int i, int part) { return part == 0 ? i : 4 + i; }
  // kPlane = 1: 2 lines before hold the fifth bits: byte 4 o + b, bit i of K = 4 i + b, bit 4 + i of K = 16 + 4 i + b.
  static constexpr bool kHasPlane = kPlane == 1;
  template <class S, class D, int i>
  KL_INLINE void codes(const std::byte* group, const typename D::Codes& plane, int vector, typename D::Codes& lo, typename D::Codes& hi) {
    const auto c = D::load(group + 128 * kPlane + 128 * i + static_cast<ptrdiff_t>(sizeof(typename D::Codes)) * vector);
    lo = D::low(c);
    hi = D::high(c);
    if constexpr (kPlane == 1) {
      lo = D::either(lo, D::template move_bits<i, 4, 0x10>(plane));
      hi = D::either(hi, D::template move_bits<4 + i, 4, 0x10>(plane));
    }
  }
};

template <class S>
KL_INLINE typename S::F f16_line(const std::byte* line, int vector) {
  return S::load_f16(line + static_cast<ptrdiff_t>(2 * S::kLanes) * vector);
}

struct PackedQ4_0 : NoHeader, Nibbles<0> {
  static constexpr int kGroupBytes = 576, kMax = 15, kOffset = 8;
  static constexpr bool kMinimum = false;
  template <class S, class D>
  KL_INLINE typename S::F scale(const Header<S, D>&, const std::byte* group, int, int vector) {
    return f16_line<S>(group + 512, vector);
  }
};

struct PackedQ4_1 : NoHeader, Nibbles<0> {
  static constexpr int kGroupBytes = 640, kMax = 15, kOffset = 0;
  static constexpr bool kMinimum = true;
  template <class S, class D>
  KL_INLINE typename S::F scale(const Header<S, D>&, const std::byte* group, int, int vector) {
    return f16_line<S>(group + 512, vector);
  }
  template <class S, class D>
  KL_INLINE typename S::F minimum(const Header<S, D>&, const std::byte* group, int, int vector) {
    return f16_line<S>(group + 576, vector);
  }
};

struct PackedQ5_0 : NoHeader, Nibbles<1> {
  static constexpr int kGroupBytes = 704, kMax = 31, kOffset = 16;
  static constexpr bool kMinimum = false;
  template <class S, class D>
  KL_INLINE typename S::F scale(const Header<S, D>&, const std::byte* group, int, int vector) {
    return f16_line<S>(group + 640, vector);
  }
};

struct PackedQ5_1 : NoHeader, Nibbles<1> {
  static constexpr int kGroupBytes = 768, kMax = 31, kOffset = 0;
  static constexpr bool kMinimum = true;
  template <class S, class D>
  KL_INLINE typename S::F scale(const Header<S, D>&, const std::byte* group, int, int vector) {
    return f16_line<S>(group + 640, vector);
  }
  template <class S, class D>
  KL_INLINE typename S::F minimum(const Header<S, D>&, const std::byte* group, int, int vector) {
    return f16_line<S>(group + 704, vector);
  }
};

// q + 128, 16 lines: byte 128 s + 4 o + b holds K = 4 s + b.
struct PackedQ8_0 : NoHeader {
  static constexpr int kGroupBytes = 1088, kMax = 128, kOffset = 128;
  static constexpr bool kMinimum = false;
  static constexpr int kStep(int i, int part) { return 2 * i + part; }
  static constexpr bool kHasPlane = false;
  template <class S, class D, int i>
  KL_INLINE void codes(const std::byte* group, const typename D::Codes&, int vector, typename D::Codes& lo, typename D::Codes& hi) {
    const std::byte* line = group + 256 * i + static_cast<ptrdiff_t>(sizeof(typename D::Codes)) * vector;
    lo = D::from_biased(D::load(line));
    hi = D::from_biased(D::load(line + 128));
  }
  template <class S, class D>
  KL_INLINE typename S::F scale(const Header<S, D>&, const std::byte* group, int, int vector) {
    return f16_line<S>(group + 1024, vector);
  }
};

// Codes that stand for 8-bit values by a table of 16, here plus 128.
template <class Table>
struct TableNibbles : Nibbles<0> {
  static constexpr int kMax = 128, kOffset = 128;
  static constexpr bool kMinimum = false;
  template <class S, class D, int i>
  KL_INLINE void codes(const std::byte* group, const typename D::Codes& plane, int vector, typename D::Codes& lo, typename D::Codes& hi) {
    Nibbles<0>::codes<S, D, i>(group, plane, vector, lo, hi);
    const auto table = D::load_table(Table::kValues);
    lo = D::lookup(table, lo);
    hi = D::lookup(table, hi);
  }
};

struct TableIq4Nl {
  static constexpr uint8_t kValues[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};
};
struct PackedIq4Nl : NoHeader, TableNibbles<TableIq4Nl> {
  static constexpr int kGroupBytes = 576;
  template <class S, class D>
  KL_INLINE typename S::F scale(const Header<S, D>&, const std::byte* group, int, int vector) {
    return f16_line<S>(group + 512, vector);
  }
};

// E2M1 values doubled; the scale byte e then stands for 2^(e - 128), half of E8M0's, so that code * scale is the value.
struct TableMxfp4 {
  static constexpr uint8_t kValues[16] = {128, 129, 130, 131, 132, 134, 136, 140, 128, 127, 126, 125, 124, 122, 120, 116};
};
struct PackedMxfp4 : NoHeader, TableNibbles<TableMxfp4> {
  static constexpr int kGroupBytes = 544;
  template <class S, class D>
  KL_INLINE typename S::F scale(const Header<S, D>&, const std::byte* group, int, int vector) {
    const auto e = S::load_u8(group + 512 + static_cast<ptrdiff_t>(S::kLanes) * vector);
    const auto number = S::to_float(e);
    const auto normal = S::from_bits(S::template shift_left<23>(S::add_int(e, S::set_int(-1))));
    const auto tiny = S::select_less(number, S::set(1.0f), S::set(0x1p-128f), S::set(0x1p-127f));  // below the normal numbers
    return S::select_less(number, S::set(2.0f), tiny, normal);
  }
};

// Super-blocks of 256 K with 6-bit scales and minima in a header of 512 bytes: per 16 outputs 96 bytes of scales, 96 of minima (each 64 bytes of low
// nibbles: byte 16 (j % 4) + o, low for j < 4; 32 bytes of upper bits: byte 16 (j % 2) + o, bits 2 (j / 2)), f16 d[16], f16 dmin[16]; j = sub-block.
template <int kPlane>
struct SuperNibbles : Nibbles<kPlane> {
  static constexpr int kGroups = 8, kHeaderBytes = 512, kGroupBytes = 512 + 128 * kPlane, kMax = kPlane == 1 ? 31 : 15, kOffset = 0;
  static constexpr bool kMinimum = true, kSubtracted = true;
  template <class S, class D>
  struct Header {
    alignas(64) uint8_t six[2][2][128];  // [16 outputs][scales, minima][8][16]
    typename S::F unit[2][D::kVectors];  // d, dmin
    KL_ALWAYS_INLINE explicit Header(const std::byte* header) {
      for (int half = 0; half < 2; ++half) {
        D::unpack_six(header + 256 * half, six[half][0]);
        D::unpack_six(header + 256 * half + 96, six[half][1]);
      }
      unroll<D::kVectors>([&](auto v) KL_ALWAYS_INLINE {
        constexpr int kOutput = S::kLanes * decltype(v)::value;
        const std::byte* units = header + 256 * (kOutput / 16) + 192 + 2 * (kOutput % 16);
        unit[0][v] = S::load_f16(units);
        unit[1][v] = S::load_f16(units + 32);
      });
    }
  };
  // d * scale and dmin * minimum are exact: 11 bits times 6.
  template <class S, class D>
  KL_INLINE typename S::F factor(const Header<S, D>& h, int g, int vector, int which) {
    const int output = S::kLanes * vector, half = output / 16, within = output % 16;
    return S::to_float(S::load_u8(reinterpret_cast<const std::byte*>(h.six[half][which]) + 16 * g + within)) * h.unit[which][vector];
  }
  template <class S, class D>
  KL_INLINE typename S::F scale(const Header<S, D>& h, const std::byte*, int g, int vector) {
    return factor<S, D>(h, g, vector, 0);
  }
  template <class S, class D>
  KL_INLINE typename S::F minimum(const Header<S, D>& h, const std::byte*, int g, int vector) {
    return factor<S, D>(h, g, vector, 1);
  }
};
using PackedQ4K = SuperNibbles<0>;
using PackedQ5K = SuperNibbles<1>;

// Header: int8 scales [16 halves of 16 K][32 outputs], f16 d[32]. Group: 4 lines of upper two bits (first the half K 0-15: byte 4 o + b, bits 2 i of
// K = 4 i + b; then K 16-31), then nibbles.
struct PackedQ6K {
  static constexpr int kGroups = 8, kHeaderBytes = 576, kGroupBytes = 768, kMax = 63;
};

}  // namespace
}  // namespace kl::cpu
