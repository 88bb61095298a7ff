// What every byte of a panel means: the reference unpacker, written from these diagrams and used by tests only. K below counts within a group of 32;
// o is an output, 0 to 31; numbers are little-endian; f16[32] are 32 half floats, one per output.
//
//   nibbles (512 bytes)      byte 128 i + 4 o + b     bits 0..3 code of K = 4 i + b | bits 4..7 code of K = 16 + 4 i + b      i, b = 0..3
//   fifth bits (128 bytes)   byte 4 o + b             bit i of K = 4 i + b | bit 4 + i of K = 16 + 4 i + b
//   six (96 bytes)           8 sub-blocks j x 16 outputs: byte 16 (j % 4) + o' bits 4 (j / 4).. low four bits,
//                            byte 64 + 16 (j % 2) + o' bits 2 (j / 2).. upper two
//
//   q4_0, iq4_nl   per 32 K   nibbles, f16[32] d                                         576
//   q4_1           per 32 K   nibbles, f16[32] d, f16[32] m                              640
//   q5_0           per 32 K   fifth bits, nibbles, f16[32] d                             704
//   q5_1           per 32 K   fifth bits, nibbles, f16[32] d, f16[32] m                  768
//   q8_0           per 32 K   byte 128 s + 4 o + b: q + 128 of K = 4 s + b; f16[32] d   1088
//   mxfp4          per 32 K   nibbles, u8[32] e                                          544
//   q4_k, q5_k     per 256 K  twice, for outputs 0..15 and 16..31: six scales, six minima, f16[16] d, f16[16] dmin; then 8 groups of
//                             nibbles (q5_k: fifth bits, nibbles)                        4608, 5632
//   q6_k           per 256 K  i8 scale[16][32] (halves of a group, in ascending K), f16[32] d; then 8 groups of 2 x 128 bytes of upper bits
//                             (half h: byte 4 o + b, bits 2 i.. of K = 16 h + 4 i + b) and nibbles  6720
//   f32, f16, bf16 per K      32 values, one per output
#include <cstring>

#include "core/half.h"
#include "cpu/pack/pack.h"

namespace kl::cpu {
namespace {

unsigned byte_at(const std::byte* p, size_t i) { return std::to_integer<unsigned>(p[i]); }

uint16_t u16_at(const std::byte* p, size_t index) { return static_cast<uint16_t>(byte_at(p, 2 * index) | byte_at(p, 2 * index + 1) << 8); }
float half_at(const std::byte* p, size_t index) { return f16_to_f32(u16_at(p, index)); }

unsigned nibble(const std::byte* nibbles, size_t o, size_t k) {
  return byte_at(nibbles, 128 * (k % 16 / 4) + 4 * o + k % 4) >> (k / 16 * 4) & 15u;
}
unsigned fifth(const std::byte* plane, size_t o, size_t k) { return byte_at(plane, 4 * o + k % 4) >> (k / 16 * 4 + k % 16 / 4) & 1u; }
unsigned six(const std::byte* at, size_t j, size_t lane) {
  return (byte_at(at, 16 * (j % 4) + lane) >> (4 * (j / 4)) & 15u) | (byte_at(at, 64 + 16 * (j % 2) + lane) >> (2 * (j / 2)) & 3u) << 4;
}

float e8m0_half(unsigned e) {
  if (e == 0) return 0x1p-128f;
  float value = 0x1p-127f;
  for (unsigned i = 1; i < e; ++i) value *= 2.0f;
  return value;
}

constexpr int kIq4Nl[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr int kE2m1Doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// Value K of output o in a group of 32; the products and sums in the order of core/formats.
float group_value(Format format, const std::byte* group, size_t o, size_t k) {
  switch (format) {
    case Format::q4_0:
      return static_cast<float>(static_cast<int>(nibble(group, o, k)) - 8) * half_at(group + 512, o);
    case Format::q4_1:
      return static_cast<float>(nibble(group, o, k)) * half_at(group + 512, o) + half_at(group + 576, o);
    case Format::q5_0:
      return static_cast<float>(static_cast<int>(nibble(group + 128, o, k) | fifth(group, o, k) << 4) - 16) * half_at(group + 640, o);
    case Format::q5_1:
      return static_cast<float>(nibble(group + 128, o, k) | fifth(group, o, k) << 4) * half_at(group + 640, o) + half_at(group + 704, o);
    case Format::q8_0:
      return static_cast<float>(static_cast<int>(byte_at(group, 128 * (k / 4) + 4 * o + k % 4)) - 128) * half_at(group + 1024, o);
    case Format::iq4_nl:
      return half_at(group + 512, o) * static_cast<float>(kIq4Nl[nibble(group, o, k)]);
    case Format::mxfp4:
      return static_cast<float>(kE2m1Doubled[nibble(group, o, k)]) * e8m0_half(byte_at(group + 512, o));
    default:
      return 0.0f;  // not formats of 32
  }
}

float super_value(Format format, const std::byte* block, size_t o, size_t k) {
  const size_t g = k / 32, in = k % 32;
  if (format == Format::q6_k) {
    const std::byte* group = block + 576 + 768 * g;
    const size_t half = in / 16;
    const unsigned upper = byte_at(group, 128 * half + 4 * o + in % 4) >> (2 * (in % 16 / 4)) & 3u;
    const int code = static_cast<int>(nibble(group + 256, o, in) | upper << 4) - 32;
    const float step = half_at(block + 512, o) * static_cast<float>(static_cast<int8_t>(byte_at(block, 32 * (2 * g + half) + o)));
    return step * static_cast<float>(code);
  }
  const std::byte* header = block + 256 * (o / 16);
  const size_t lane = o % 16;
  const float step = half_at(header + 192, lane) * static_cast<float>(six(header, g, lane));
  const float offset = half_at(header + 224, lane) * static_cast<float>(six(header + 96, g, lane));
  const bool five = format == Format::q5_k;
  const std::byte* group = block + 512 + (five ? 640 : 512) * g;
  const unsigned code = five ? nibble(group + 128, o, in) | fifth(group, o, in) << 4 : nibble(group, o, in);
  return step * static_cast<float>(code) - offset;
}

}  // namespace

void unpack_panel_row(Format format, const std::byte* panel, size_t k, size_t output, float* out) {
  for (size_t i = 0; i < k; ++i) {
    switch (format) {
      case Format::f32:
        std::memcpy(out + i, panel + 128 * i + 4 * output, 4);
        break;
      case Format::f16:
        out[i] = half_at(panel + 64 * i, output);
        break;
      case Format::bf16:
        out[i] = bf16_to_f32(u16_at(panel + 64 * i, output));
        break;
      case Format::q4_k:
      case Format::q5_k:
      case Format::q6_k:
        out[i] = super_value(format, panel + panel_bytes(format, 256) * (i / 256), output, i % 256);
        break;
      default:
        out[i] = group_value(format, panel + panel_bytes(format, 32) * (i / 32), output, i % 32);
        break;
    }
  }
}

}  // namespace kl::cpu
