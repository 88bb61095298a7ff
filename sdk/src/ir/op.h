// The closed set of ops. An op is a plain struct naming operands and constants; it has no behaviour. Adding one takes a decision record.
// Shapes: values are [rows width] float32, rows being the step's rows (T), its output rows (O) or its pooled rows (U). Weights are named by WeightId.
#pragma once
#include <cstdint>
#include <limits>
#include <variant>

#include "core/format.h"

namespace kl {

struct Value {
  uint32_t id = std::numeric_limits<uint32_t>::max();
  bool valid() const { return id != std::numeric_limits<uint32_t>::max(); }
  bool operator==(const Value&) const = default;
};

struct WeightId {
  uint32_t id = std::numeric_limits<uint32_t>::max();
  bool valid() const { return id != std::numeric_limits<uint32_t>::max(); }
  bool operator==(const WeightId&) const = default;
};

// The cache of one layer: which group's pool, which layer within it.
struct KvRef {
  uint32_t group = 0;
  uint32_t layer = 0;
};

enum class Activation : uint8_t { none, silu, gelu_tanh, gelu_erf, gelu_quick };
enum class NormKind : uint8_t { rms, layer };
enum class RopeStyle : uint8_t { neighbours /* pairs (2i, 2i+1) */, halves /* pairs (i, i + d/2) */ };

constexpr const char* name(Activation a) {
  constexpr const char* kNames[] = {"none", "silu", "gelu_tanh", "gelu_erf", "gelu_quick"};
  return kNames[static_cast<size_t>(a)];
}

// Rotary positions (Su et al., 2021). Angle of pair i at position p: p / (base^(2i/dims) * factor[i] * scale).
struct RopeSpec {
  bool enabled = true;
  RopeStyle style = RopeStyle::neighbours;
  uint32_t dims = 0;  // rotated dimensions of a head, even; the rest pass
  float base = 10000.0f;
  float scale = 1.0f;                // linear position scaling: positions are divided by it
  float attention_factor = 1.0f;     // multiplies cos and sin
  WeightId factors;                  // optional [dims / 2] divisors of the frequencies (Llama 3, Phi-3)
  uint32_t sections[3] = {0, 0, 0};  // M-RoPE: pairs that follow position component 0, 1, 2; all zero: component 0 only
  bool section_frequencies =
      false;  // pairs count from 0 in each section, i / (pairs of the section) being the exponent: two axes that turn alike
};

// Which number of a row an index is.
enum class RowIndex : uint8_t { token, position0, position1, position2 };

enum class PoolKind : uint8_t { concatenate, mean };

// ---- primitives ----

// out[t] = scale * table[i], i the row's index; i < 0: zeros, or with `features` row -1 - i of the step's feature rows, unscaled
//                                                                       table [V M]  features [E M] -> out [T M]
struct GatherRows {
  Value out;
  WeightId table;
  float scale = 1;
  RowIndex index = RowIndex::token;
  bool features = false;
};

// out[t][c][y][x] = (pixel / 255 - mean[c]) / deviation[c] over the row's patch of the step's pixels; zeros for a row without a patch
//                                                                       pixels uint8 [.. .. 3] -> out [T 3*size*size]
struct Patchify {
  Value out;
  uint32_t size = 0;  // pixels along a side of a patch
  float mean[3] = {0, 0, 0};
  float deviation[3] = {1, 1, 1};
};

// out = norm(x) * gain (+ bias), over each of `parts` equal parts of a row    x [R P*W]  gain [W] -> out [R P*W]
struct Norm {
  Value x, out;
  WeightId gain, bias;
  NormKind kind = NormKind::rms;
  float eps = 0;
  uint32_t parts = 1;
};

// out = x w' (+ bias)                                                   x [R K]  w [N K] -> out [R N]
struct Linear {
  Value x, out;
  WeightId w, bias;
};

// out = rope(x) per head                                                x [T heads*D] -> out [T heads*D]
struct Rope {
  Value x, out;
  uint32_t heads = 0;
  uint32_t head_size = 0;
  RopeSpec rope;
};

// writes k and v of each row into the cache, in the cache's format      k, v [T G*D]
struct KvWrite {
  Value k, v;
  KvRef cache;
  uint32_t heads = 0;
  uint32_t head_size = 0;
};

// out = softmax(scale * q K' + mask) V over the row's own sequence; cap c: c tanh(x / c)    q [T H*D] -> out [T H*D]
// A row at slot s with span [a, b) (StepParams::row_span; a = s, b = s + 1 but for rows that see each other in both directions) attends to
// slots [max(0, s - window + 1), max(b, s + 1)): the span lets a row see ahead, the window holds for what is behind it.
struct Attention {
  Value q, out;
  KvRef cache;
  uint32_t heads = 0, kv_heads = 0, head_size = 0;
  float scale = 1;
  uint32_t window = 0;  // 0: all earlier tokens
  float cap = 0;        // 0: none
  WeightId sinks;       // optional [H]
};

// out = softmax(scale * q k') v over the rows of the row's own range (StepParams::row_range of a segmentation); every row of a range has that range
//                                                                       q, k, v [T H*D] -> out [T H*D]
struct DenseAttention {
  Value q, k, v, out;
  uint32_t heads = 0, head_size = 0;
  float scale = 1;
  uint32_t segmentation = 0;
};

// `count` neighbouring rows become one: side by side, or their mean     x [T M] -> out [U count*M] or [U M], U = T / count
struct Pool {
  Value x, out;
  PoolKind kind = PoolKind::concatenate;
  uint32_t count = 1;  // Program::pool
};

// out = act(gate) * up; without up: act(gate)                           gate, up [R F] -> out [R F]
struct Activate {
  Value gate, up, out;
  Activation activation = Activation::silu;
};

// out = a + b                                                           a, b [R M] -> out [R M]
struct Add {
  Value a, b, out;
};

// rows whose logits are wanted                                          x [T M] -> out [O M]
struct SelectRows {
  Value x, out;
};

// the token of each row, as int32, drawn as StepParams::draws() says     logits [O V] -> out [O 1]
// (core/draw.h): the highest logit, ties to the lowest id; or by chance, of all or of the top_k. -1: a logit of the row is not finite, or nothing is to be drawn.
struct Sample {
  Value logits, out;
};

// ---- fused: each is defined by its expansion (ir/fused.cpp) ----

// out = norm(x) w' (+ bias)
struct NormLinear {
  Value x, out;
  WeightId gain;
  float eps = 0;
  WeightId w, bias;
};

// q = rope(head_norm(norm(x) Wq' + bq)); k likewise; k and v = norm(x) Wv' + bv go into the cache.   x [T M] -> out [T H*D]
struct NormQkvRope {
  Value x, out;
  WeightId gain;
  float eps = 0;
  WeightId wq, wk, wv, bq, bk, bv;  // biases optional
  WeightId q_gain, k_gain;          // optional head norms [D]
  uint32_t heads = 0, kv_heads = 0, head_size = 0;
  RopeSpec rope;
  KvRef cache;
};

// out = residual + x w' (+ bias)                                        x [T K]  residual [T N] -> out [T N]
struct LinearResidual {
  Value x, residual, out;
  WeightId w, bias;
};

// out = residual + norm(x)                                              x, residual [T M] -> out [T M]
struct NormAdd {
  Value x, residual, out;
  WeightId gain;
  float eps = 0;
};

// out = residual + norm(x w')                                           x [T K]  residual [T N] -> out [T N]
struct LinearNormAdd {
  Value x, residual, out;
  WeightId w;
  WeightId gain;  // [N]
  float eps = 0;
};

// out = act(norm(x) Wg') * (norm(x) Wu')                                x [T M]  Wg, Wu [F M] -> out [T F]
struct NormGateUp {
  Value x, out;
  WeightId gain;
  float eps = 0;
  WeightId gate, up;
  Activation activation = Activation::silu;
};

// out = norm(select(x)) head'                                           x [T M]  head [V M] -> out [O V]
struct SelectNormHead {
  Value x, out;
  WeightId gain;
  float eps = 0;
  WeightId head;
};

using Op = std::variant<GatherRows, Patchify, Norm, Linear, Rope, KvWrite, Attention, DenseAttention, Pool, Activate, Add, SelectRows,
                        Sample, NormLinear, NormQkvRope, LinearResidual, NormAdd, LinearNormAdd, NormGateUp, SelectNormHead>;

// The name of an op by its place in the set.
constexpr const char* op_name(size_t index) {
  constexpr const char* kNames[] = {"gather_rows",  "patchify",        "norm",          "linear",          "rope",     "kv_write",
                                    "attention",    "dense_attention", "pool",          "activate",        "add",      "select_rows",
                                    "sample",       "norm_linear",     "norm_qkv_rope", "linear_residual", "norm_add", "linear_norm_add",
                                    "norm_gate_up", "select_norm_head"};
  static_assert(std::variant_size_v<Op> == sizeof(kNames) / sizeof(kNames[0]));
  return kNames[index];
}
constexpr const char* name(const Op& op) { return op_name(op.index()); }

}  // namespace kl
