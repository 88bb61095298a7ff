// The page formula of the KV cache on the device: backend/kv_page.h in 32-bit words. A page holds 32 positions of one layer, head after head; a head holds
// K scales, V scales, K, V. Needs push constants of type KvLayout named kv.
#define KV_F32 0
#define KV_F16 1
#define KV_Q8 2
#define KV_Q4 3
layout(constant_id = 0) const int KV = KV_F16;

struct KvLayout {
  uint v_scales, k, k_bits, v;  // words within a head; K scales come first
  uint head_words, page_words;
  uint table_at, table_stride;  // words of the step: the group's block tables, one sequence after the other
  uint row_sequence_at, row_slot_at;
};

// Dimensions that share a scale.
uint k_group() { return KV == KV_Q8 ? 32u : 64u; }
const uint kVGroup = 32u;

// First word of a head in the page of a position.
#define KV_HEAD(position, sequence, head) \
  (step_word[kv.table_at + (sequence) * kv.table_stride + (position) / 32u] * kv.page_words + (head) * kv.head_words)

// f16 number `index` of the words from `at` on; signed byte `index` of word `at`. With NARROW they are loads of their own width.
#ifdef NARROW
#define KV_HALF(at, index) half_to_float(uint(cache_half[2u * (at) + (index)]))
#define KV_BYTE(at, index) int(cache_byte[4u * (at) + (index)])
#else
#define KV_HALF(at, index) half_to_float((cache[(at) + ((index) >> 1)] >> (16u * ((index) & 1u))) & 0xffffu)
#define KV_BYTE(at, index) bitfieldExtract(int(cache[at]), int(8u * (index)), 8)
#endif
