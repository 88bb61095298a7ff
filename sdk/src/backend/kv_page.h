// The one page formula of the KV cache, for the host. A page holds the K and V rows of 32 consecutive positions of one layer, all its KV heads.
//
//   page   = head 0, head 1, ... head G-1                                    head_bytes each, no gaps
//   head   = K scales, V scales, K, V                                        each section a multiple of 64 bytes, read in address order
//
//   layout name     K                              V                        scales (each of K and V)
//   kv/f32          f32 [D][32]                    f32 [32][D]              none
//   kv/f16          f16 [D][32]                    f16 [32][D]              none
//   kv/q8           int8 [D/4][32][4]              int8 [32/4][D][4]        f16 scale [groups of 32][32]
//   kv/q4           u4 [D/8][32][4],               u4 [32/4][D/2][4]        f16 scale [groups][32], then f16 minimum
//                   then u32 [ceil(D/32)][32]                               likewise; groups of 64 for K, 32 for V
//
// K keeps the tokens side by side (vector lanes are tokens in q K'), V the dimensions (lanes are dimensions in p V).
// kv/q8: K byte (i, t, b) is dimension 4i+b of token t; V byte (i, d, b) is token 4i+b, dimension d. Value = scale * int8.
// kv/q4: K byte (i, t, b) holds dimension 8i+b (low nibble) and 8i+4+b (high) of token t, and bit d % 32 of word (d / 32, t) is a fifth, upper
//        bit of dimension d; V byte (i, c, b) holds token 4i+b, dimension c (low) and c+D/2 (high). Value = minimum + scale * code, in the rotated
//        basis: x -> x R, R the normalised Walsh-Hadamard matrix of the largest power of two dividing D, repeated along the diagonal. R is
//        its own inverse and q R . k R = q . k, so the query is rotated instead of the keys being rotated back, and the output once after the sum.
//        A group's minimum is f16(min x), its scale f16((max x - min x) / 31 or 15).
//        On SmolLM2-135M (30 layers, 3 KV heads of 64) errors of K do 4 times the harm of errors of V. KL to f16, 3 x 512 tokens of WikiText-2,
//        simulated: 4 bits for both in groups of 32 0.043 (without rotation 0.082; groups of 16 0.036; the best of 9 scales each 0.037 and 0.024);
//        K 5 bits, V 4, groups of 64: 0.022; as here (V in groups of 32): 0.017 over 6 x 512 tokens at 5.25 bits a value, scales included (both in
//        groups of 32: 0.014 at 5.5). Searching scales gained nothing then. kv/q8 in groups of 32: 0.0005, of 64: 0.0008.
// A nibble, bit or byte is written by one token only, and no two tokens share a byte: two threads may write different tokens of a page.
// Groups are of one token; the last of a row may be shorter. All functions are pure and thread-safe.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/checked.h"
#include "core/format.h"

namespace kl {

// Dimensions that share a scale.
constexpr uint32_t kv_k_group(KvFormat f) { return f == KvFormat::q8 ? 32 : f == KvFormat::q4 ? 64 : 0; }
constexpr uint32_t kv_v_group(KvFormat f) { return f == KvFormat::q8 || f == KvFormat::q4 ? 32 : 0; }

struct KvPageShape {
  KvFormat format = KvFormat::f16;
  uint32_t head_size = 0;  // D: a multiple of 8, 8 to 1024
  uint32_t kv_heads = 0;   // G: 1 to 1024
  bool operator==(const KvPageShape&) const = default;
};

// Byte offsets inside one head, and sizes. Every offset is a multiple of 64.
struct KvPageLayout {
  uint32_t k_groups = 0, v_groups = 0;  // scale groups of a row; 0 without scales
  size_t k_scales = 0, v_scales = 0, k = 0, k_bits = 0 /* the fifth bits of q4 */, v = 0;
  size_t head_bytes = 0, page_bytes = 0;
};

// The shape is within the ranges above.
constexpr bool valid(const KvPageShape& s) {
  return s.head_size % 8 == 0 && s.head_size >= 8 && s.head_size <= 1024 && s.kv_heads >= 1 && s.kv_heads <= 1024;
}

// Precondition: valid(shape).
constexpr KvPageLayout kv_page_layout(const KvPageShape& s) {
  KvPageLayout l;
  const size_t bits = s.format == KvFormat::f32 ? 32 : s.format == KvFormat::f16 ? 16 : s.format == KvFormat::q8 ? 8 : 4;
  const size_t halves = s.format == KvFormat::q8 ? 1 : s.format == KvFormat::q4 ? 2 : 0;  // f16 numbers per group and token
  l.k_groups = halves == 0 ? 0 : static_cast<uint32_t>(ceil_div(s.head_size, kv_k_group(s.format)));
  l.v_groups = halves == 0 ? 0 : static_cast<uint32_t>(ceil_div(s.head_size, kv_v_group(s.format)));
  const size_t value_bytes = s.head_size * kKvPageTokens * bits / 8;
  l.v_scales = halves * l.k_groups * kKvPageTokens * 2;
  l.k = l.v_scales + halves * l.v_groups * kKvPageTokens * 2;
  l.k_bits = l.k + value_bytes;
  l.v = l.k_bits + (s.format == KvFormat::q4 ? ceil_div(s.head_size, 32) * kKvPageTokens * 4 : 0);
  l.head_bytes = l.v + value_bytes;
  l.page_bytes = l.head_bytes * s.kv_heads;
  return l;
}

// "kv/f16": the name a plan prints.
const char* kv_layout_name(KvFormat format);

// The size of the diagonal blocks of the rotation R: the largest power of two dividing head_size.
constexpr uint32_t kv_rotation_block(uint32_t head_size) { return head_size & (~head_size + 1); }
// row R, in place; head_size values. Its own inverse but for rounding. In f32, every writer alike: butterflies (a + b, a - b) at distance 1, 2, 4, ...
// within each block, then one multiplication by f32(1 / sqrt(block)).
void kv_rotate(float* row, uint32_t head_size);

// Reference encoding and decoding of one row of one head, straight from the definition above. page points at the page's first byte; head < G,
// token < 32; row and out have head_size values in the model's basis (rotated inside for q4).
void kv_encode_k(const KvPageShape& shape, std::byte* page, uint32_t head, uint32_t token, const float* row);
void kv_encode_v(const KvPageShape& shape, std::byte* page, uint32_t head, uint32_t token, const float* row);
void kv_decode_k(const KvPageShape& shape, const std::byte* page, uint32_t head, uint32_t token, float* out);
void kv_decode_v(const KvPageShape& shape, const std::byte* page, uint32_t head, uint32_t token, float* out);

}  // namespace kl
