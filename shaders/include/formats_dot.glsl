// Weights as int8 codes for packed dot products, and what turns the integer sum of a block of 32 back into a number. Beside formats.glsl.
//
// Inputs (round.comp) are rows of, in 32-bit words,
//   codes   [blocks][8]   words 2p, 2p + 1 of a block: codes 8p + 0, 2, 4, 6 and 8p + 1, 3, 5, 7, the order in which nibbles come out of a word
//   scales  [blocks][2]   scale (float32); sums of the codes 0 to 15 and 16 to 31 (two int16)
// padded to 4 words.
//
// A block's part of a row's result, with integer sums i = sum q_w q_x, s = sum q_x (exact: below 2^24, so that float holds them), weight w = d (q - zero) + m:
//   float(i - zero s) (d s_x)  (+ float(s) (m s_x))        each product rounded once, blocks added in ascending order: a function of K alone
// q6_k has a scale for each half of a block: its integers join before they become a float.
#include "formats.glsl"

// OpSDot of four signed bytes each (SPV_KHR_integer_dot_product; this glslang has no extension of its own for it).
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6019, 6018], id = 4450)
int packed_dot(uint a, uint b, spirv_literal int packed_4x8);
#define DOT4(a, b, sum) (packed_dot(a, b, 0) + (sum))

// Codes are stored, and come out, in the order of the inputs, with nothing taken away: 0 to 15, 31 or 63; q8_0 and the table formats are signed.
struct Block {
  uint code[8];
};
struct Scale {
  float d, m;
  int halves[2];  // q6_k: of weights 0 to 15, 16 to 31
};

const bool kHasMinimum = FORMAT == FORMAT_Q4_1 || FORMAT == FORMAT_Q5_1 || FORMAT == FORMAT_Q4_K || FORMAT == FORMAT_Q5_K;
const int kZero = FORMAT == FORMAT_Q4_0 ? 8 : FORMAT == FORMAT_Q5_0 ? 16 : FORMAT == FORMAT_Q6_K ? 32 : 0;

// Bits 0, 2, 4, 6 of a byte, and pairs 0, 2, 4, 6 of 16 bits, each into a byte of its own.
uint spread_bits(uint h) { return (h & 1u) | (h & 4u) << 6 | (h & 16u) << 12 | (h & 64u) << 18; }
uint spread_pairs(uint h) { return (h & 3u) | (h & 0x30u) << 4 | (h & 0x300u) << 8 | (h & 0x3000u) << 12; }
// Four nibbles in bytes to the table's bytes.
uint look_up(uint c, uvec4 bytes) {
  uint r = 0u;
  [[unroll]] for (uint i = 0u; i < 4u; ++i) {
    uint code = (c >> (8u * i)) & 15u;
    r |= byte_of(bytes[code >> 2], code & 3u) << (8u * i);
  }
  return r;
}
// Eight codes in natural order to the inputs' order, and four of either.
uint evens(uint a, uint b) { return (a & 255u) | (a >> 8 & 0xff00u) | (b & 255u) << 16 | (b << 8 & 0xff000000u); }
uint odds(uint a, uint b) { return evens(a >> 8, b >> 8); }

#define DEFINE_READ_CODES(NAME, WEIGHTS)                                                                                                  \
  DEFINE_SCALES(NAME, WEIGHTS)                                                                                                            \
  Block NAME##_codes(uint row, uint block) {                                                                                              \
    Block r;                                                                                                                              \
    if (FORMAT == FORMAT_Q8_0) {                                                                                                          \
      uvec4 a = WEIGHTS[row + 2u * block], b = WEIGHTS[row + 2u * block + 1u];                                                            \
      r.code[0] = evens(a.x, a.y);                                                                                                        \
      r.code[1] = odds(a.x, a.y);                                                                                                         \
      r.code[2] = evens(a.z, a.w);                                                                                                        \
      r.code[3] = odds(a.z, a.w);                                                                                                         \
      r.code[4] = evens(b.x, b.y);                                                                                                        \
      r.code[5] = odds(b.x, b.y);                                                                                                         \
      r.code[6] = evens(b.z, b.w);                                                                                                        \
      r.code[7] = odds(b.z, b.w);                                                                                                         \
      return r;                                                                                                                           \
    }                                                                                                                                     \
    uvec4 c = WEIGHTS[row + block]; /* 16 bytes at once */                                                                                \
    uint high[2];                                                                                                                         \
    high[0] = high[1] = 0u;                                                                                                               \
    if (FORMAT == FORMAT_Q5_0 || FORMAT == FORMAT_Q5_1 || FORMAT == FORMAT_Q5_K) high[0] = NAME##_word(row, high_at + block);             \
    if (FORMAT == FORMAT_Q6_K) {                                                                                                          \
      high[0] = NAME##_word(row, high_at + 2u * block);                                                                                   \
      high[1] = NAME##_word(row, high_at + 2u * block + 1u);                                                                              \
    }                                                                                                                                     \
    [[unroll]] for (uint part = 0u; part < 4u; ++part) {                                                                                  \
      uint even = c[part] & 0x0f0f0f0fu, odd = (c[part] >> 4) & 0x0f0f0f0fu;                                                              \
      if (FORMAT == FORMAT_IQ4_NL || FORMAT == FORMAT_MXFP4) {                                                                            \
        uvec4 bytes = FORMAT == FORMAT_IQ4_NL ? kIq4Nl : kMxfp4;                                                                          \
        even = look_up(even, bytes);                                                                                                      \
        odd = look_up(odd, bytes);                                                                                                        \
      } else if (FORMAT == FORMAT_Q6_K) {                                                                                                 \
        uint h = high[part >> 1] >> (16u * (part & 1u));                                                                                  \
        even |= spread_pairs(h) << 4;                                                                                                     \
        odd |= spread_pairs(h >> 2) << 4;                                                                                                 \
      } else if (FORMAT == FORMAT_Q5_0 || FORMAT == FORMAT_Q5_1 || FORMAT == FORMAT_Q5_K) {                                               \
        uint h = high[0] >> (8u * part);                                                                                                  \
        even |= spread_bits(h) << 4;                                                                                                      \
        odd |= spread_bits(h >> 1) << 4;                                                                                                  \
      }                                                                                                                                   \
      r.code[2u * part] = even;                                                                                                           \
      r.code[2u * part + 1u] = odd;                                                                                                       \
    }                                                                                                                                     \
    return r;                                                                                                                             \
  }                                                                                                                                       \
  Scale NAME##_scale(uint row, uint block) {                                                                                              \
    Scale r;                                                                                                                              \
    r.m = 0.0;                                                                                                                            \
    r.halves[0] = r.halves[1] = 1;                                                                                                        \
    if (FORMAT == FORMAT_MXFP4) {                                                                                                         \
      uint e = byte_of(NAME##_word(row, scale_at + (block >> 2)), block & 3u);                                                            \
      r.d = uintBitsToFloat(e < 2u ? 0x00200000u << e : (e - 1u) << 23);                                                                  \
    } else if (FORMAT == FORMAT_Q4_1 || FORMAT == FORMAT_Q5_1) {                                                                          \
      uint s = NAME##_word(row, scale_at + block);                                                                                        \
      r.d = half_to_float(s & 0xffffu);                                                                                                   \
      r.m = half_to_float(s >> 16);                                                                                                       \
    } else if (FORMAT == FORMAT_Q4_K || FORMAT == FORMAT_Q5_K) {                                                                          \
      vec2 s = NAME##_k_scale(row, scale_at + 4u * (block >> 3), block & 7u);                                                             \
      r.d = s.x;                                                                                                                          \
      r.m = -s.y;                                                                                                                         \
    } else if (FORMAT == FORMAT_Q6_K) {                                                                                                   \
      uint at = scale_at + 5u * (block >> 3);                                                                                             \
      [[unroll]] for (uint h = 0u; h < 2u; ++h) {                                                                                         \
        uint j = 2u * (block & 7u) + h;                                                                                                   \
        r.halves[h] = bitfieldExtract(int(NAME##_word(row, at + (j >> 2))), int(8u * (j & 3u)), 8);                                       \
      }                                                                                                                                   \
      r.d = half_to_float(NAME##_word(row, at + 4u) & 0xffffu);                                                                           \
    } else {                                                                                                                              \
      r.d = NAME##_half(row, scale_at, block);                                                                                            \
    }                                                                                                                                     \
    return r;                                                                                                                             \
  }

// Of a block of inputs: sums of the codes of both halves.
ivec2 code_sums(uint word) { return ivec2(bitfieldExtract(int(word), 0, 16), bitfieldExtract(int(word), 16, 16)); }

// A block's part of the result; half_sums: sum q_w q_x of both halves.
float block_value(ivec2 half_sums, Scale w, float x_scale, ivec2 x_sums) {
  ivec2 i = half_sums - kZero * x_sums;
  int whole = FORMAT == FORMAT_Q6_K ? i.x * w.halves[0] + i.y * w.halves[1] : i.x + i.y;
  float v = float(whole) * (w.d * x_scale);
  if (kHasMinimum) v = v + float(x_sums.x + x_sums.y) * (w.m * x_scale);
  return v;
}
