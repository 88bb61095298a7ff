// Eight weights at a time, in every format, from rows packed by backends/vulkan/pack. A row is, in 32-bit words,
//
//   codes    [blocks][C]   block of 32 weights; 4-bit codes: word j holds weights 8j .. 8j+7, the first in the lowest bits
//   high     [blocks][H]   upper bits: 5-bit formats one word (bit i: weight i), q6_k two (bits 2i, 2i+1 of word h: weight 16h + i)
//   scales                 one binary16 a block, two in a word (q4_0, q5_0, q8_0, iq4_nl); scale and minimum in a word (q4_1, q5_1); one byte a
//                          block (mxfp4); per 256 weights the file's words: d and dmin, 12 bytes (q4_k, q5_k); 16 int8, d (q6_k)
//
// padded to 4 words. All scales are one coalesced read per block; numbers come out as the format's definition rounds them, to the bit.
// Needs: push constants high_at, scale_at (words within a row); WEIGHTS(i): uvec4 number i of the matrix.

#define FORMAT_F32 0
#define FORMAT_F16 1
#define FORMAT_BF16 2
#define FORMAT_Q8_0 3
#define FORMAT_Q4_0 4
#define FORMAT_Q4_1 5
#define FORMAT_Q5_0 6
#define FORMAT_Q5_1 7
#define FORMAT_Q4_K 8
#define FORMAT_Q5_K 9
#define FORMAT_Q6_K 10
#define FORMAT_IQ4_NL 11
#define FORMAT_MXFP4 12

layout(constant_id = 0) const int FORMAT = FORMAT_F32;

vec4 nibbles(uint c) { return vec4(c & 15u, (c >> 4) & 15u, (c >> 8) & 15u, (c >> 12) & 15u); }
vec4 bits_4(uint c) { return vec4(c & 1u, (c >> 1) & 1u, (c >> 2) & 1u, (c >> 3) & 1u); }
vec4 pairs_4(uint c) { return vec4(c & 3u, (c >> 2) & 3u, (c >> 4) & 3u, (c >> 6) & 3u); }
vec4 signed_bytes(uint c) {
  int i = int(c);
  return vec4(bitfieldExtract(i, 0, 8), bitfieldExtract(i, 8, 8), bitfieldExtract(i, 16, 8), bitfieldExtract(i, 24, 8));
}
uint byte_of(uint word, uint index) { return (word >> (8u * index)) & 255u; }

// sdk/src/core/formats/rows.h: the levels of iq4_nl and the doubled ones of mxfp4, as bytes.
float table_value(uint code, uvec4 bytes) { return float(bitfieldExtract(int(bytes[code >> 2]), int(8u * (code & 3u)), 8)); }
vec4 table_values(uint c, uvec4 bytes) {
  return vec4(table_value(c & 15u, bytes), table_value((c >> 4) & 15u, bytes), table_value((c >> 8) & 15u, bytes),
              table_value((c >> 12) & 15u, bytes));
}
const uvec4 kIq4Nl = uvec4(0xbfad9881u, 0xf6eaddcfu, 0x26190d01u, 0x71594535u);
const uvec4 kMxfp4 = uvec4(0x03020100u, 0x0c080604u, 0xfdfeff00u, 0xf4f8fafcu);

// The macros make functions per matrix that a shader is bound to (a buffer cannot be an argument). row: the row's first uvec4.
#define DEFINE_SCALES(NAME, WEIGHTS)                                                                                                      \
  uint NAME##_word(uint row, uint at) { return WEIGHTS[row + (at >> 2)][at & 3u]; }                                                       \
  float NAME##_half(uint row, uint at, uint index) {                                                                                      \
    return half_to_float((NAME##_word(row, at + (index >> 1)) >> (16u * (index & 1u))) & 0xffffu);                                        \
  }                                                                                                                                       \
  /* scale and minimum of sub-block j (0 to 7) of a 256-block of q4_k or q5_k */                                                          \
  vec2 NAME##_k_scale(uint row, uint at, uint j) {                                                                                        \
    uint d = NAME##_word(row, at), a = NAME##_word(row, at + 1u), b = NAME##_word(row, at + 2u), c = NAME##_word(row, at + 3u), i = j & 3u; \
    uint scale = j < 4u ? byte_of(a, i) & 63u : (byte_of(c, i) & 15u) | ((byte_of(a, i) >> 6) << 4);                                      \
    uint least = j < 4u ? byte_of(b, i) & 63u : (byte_of(c, i) >> 4) | ((byte_of(b, i) >> 6) << 4);                                       \
    return vec2(half_to_float(d & 0xffffu) * float(scale), half_to_float(d >> 16) * float(least));                                        \
  }

// Weights 32 block + 8 part .. + 7 come out as two vectors.
#define DEFINE_READ8(NAME, WEIGHTS)                                                                                                       \
  DEFINE_SCALES(NAME, WEIGHTS)                                                                                                            \
  void NAME(uint row, uint block, uint part, out vec4 a, out vec4 b) {                                                                    \
    if (FORMAT == FORMAT_F32) {                                                                                                           \
      a = uintBitsToFloat(WEIGHTS[row + 8u * block + 2u * part]);                                                                         \
      b = uintBitsToFloat(WEIGHTS[row + 8u * block + 2u * part + 1u]);                                                                    \
      return;                                                                                                                             \
    }                                                                                                                                     \
    if (FORMAT == FORMAT_F16 || FORMAT == FORMAT_BF16) {                                                                                  \
      uvec4 w = WEIGHTS[row + 4u * block + part];                                                                                         \
      if (FORMAT == FORMAT_BF16) {                                                                                                        \
        a = uintBitsToFloat(uvec4(w.x << 16, w.x & 0xffff0000u, w.y << 16, w.y & 0xffff0000u));                                           \
        b = uintBitsToFloat(uvec4(w.z << 16, w.z & 0xffff0000u, w.w << 16, w.w & 0xffff0000u));                                           \
      } else {                                                                                                                            \
        a = vec4(half_to_float(w.x & 0xffffu), half_to_float(w.x >> 16), half_to_float(w.y & 0xffffu), half_to_float(w.y >> 16));         \
        b = vec4(half_to_float(w.z & 0xffffu), half_to_float(w.z >> 16), half_to_float(w.w & 0xffffu), half_to_float(w.w >> 16));         \
      }                                                                                                                                   \
      return;                                                                                                                             \
    }                                                                                                                                     \
    if (FORMAT == FORMAT_Q8_0) {                                                                                                          \
      float d = NAME##_half(row, scale_at, block);                                                                                        \
      a = signed_bytes(NAME##_word(row, 8u * block + 2u * part)) * d;                                                                     \
      b = signed_bytes(NAME##_word(row, 8u * block + 2u * part + 1u)) * d;                                                                \
      return;                                                                                                                             \
    }                                                                                                                                     \
    uint c = WEIGHTS[row + block][part];                                                                                                  \
    if (FORMAT == FORMAT_IQ4_NL) {                                                                                                        \
      float d = NAME##_half(row, scale_at, block);                                                                                        \
      a = table_values(c, kIq4Nl) * d;                                                                                                    \
      b = table_values(c >> 16, kIq4Nl) * d;                                                                                              \
      return;                                                                                                                             \
    }                                                                                                                                     \
    if (FORMAT == FORMAT_MXFP4) {                                                                                                         \
      uint e = byte_of(NAME##_word(row, scale_at + (block >> 2)), block & 3u);                                                            \
      float d = uintBitsToFloat(e < 2u ? 0x00200000u << e : (e - 1u) << 23);                                                              \
      a = table_values(c, kMxfp4) * d;                                                                                                    \
      b = table_values(c >> 16, kMxfp4) * d;                                                                                              \
      return;                                                                                                                             \
    }                                                                                                                                     \
    a = nibbles(c);                                                                                                                       \
    b = nibbles(c >> 16);                                                                                                                 \
    if (FORMAT == FORMAT_Q5_0 || FORMAT == FORMAT_Q5_1 || FORMAT == FORMAT_Q5_K) {                                                        \
      uint h = NAME##_word(row, high_at + block) >> (8u * part);                                                                          \
      a += 16.0 * bits_4(h);                                                                                                              \
      b += 16.0 * bits_4(h >> 4);                                                                                                         \
    }                                                                                                                                     \
    if (FORMAT == FORMAT_Q4_0 || FORMAT == FORMAT_Q5_0) {                                                                                 \
      float d = NAME##_half(row, scale_at, block), middle = FORMAT == FORMAT_Q4_0 ? 8.0 : 16.0;                                           \
      a = (a - middle) * d;                                                                                                               \
      b = (b - middle) * d;                                                                                                               \
    } else if (FORMAT == FORMAT_Q4_1 || FORMAT == FORMAT_Q5_1) {                                                                          \
      uint s = NAME##_word(row, scale_at + block);                                                                                        \
      float d = half_to_float(s & 0xffffu), m = half_to_float(s >> 16);                                                                   \
      a = a * d + m; /* the product is exact: fused or not, the same bits */                                                              \
      b = b * d + m;                                                                                                                      \
    } else if (FORMAT == FORMAT_Q6_K) {                                                                                                   \
      uint h = NAME##_word(row, high_at + 2u * block + (part >> 1)) >> (16u * (part & 1u));                                               \
      a = (a + 16.0 * pairs_4(h)) - 32.0;                                                                                                 \
      b = (b + 16.0 * pairs_4(h >> 8)) - 32.0;                                                                                            \
      uint at = scale_at + 5u * (block >> 3), j = 2u * (block & 7u) + (part >> 1);                                                        \
      float s = float(bitfieldExtract(int(NAME##_word(row, at + (j >> 2))), int(8u * (j & 3u)), 8));                                      \
      float step = half_to_float(NAME##_word(row, at + 4u) & 0xffffu) * s;                                                                \
      a = step * a;                                                                                                                       \
      b = step * b;                                                                                                                       \
    } else {                                                                                                                              \
      vec2 s = NAME##_k_scale(row, scale_at + 4u * (block >> 3), block & 7u);                                                             \
      a = s.x * a - s.y;                                                                                                                  \
      b = s.x * b - s.y;                                                                                                                  \
    }                                                                                                                                     \
  }
