// Launches that several ops are made of. Each appends its dispatches with the stage's number.
#pragma once
#include "vulkan/kernel_table.h"

namespace kl::vulkan {

using Dispatches = std::vector<Dispatch>;

// How the products of a linear are computed. The plan's activation format decides what may be: dot and matrix take inputs rounded to 8 bits as integers, and
// both give the same bits; plain takes any inputs as float32.
enum class Product : uint8_t { plain, dot, matrix };
constexpr const char* name(Product p) { return p == Product::plain ? "plain" : p == Product::dot ? "dot" : "matrix"; }

// ---- predicates ----

// Why a linear with this weight over `rows` rows at most is not computed in this way; empty: it is.
std::string product_refusal(const SupportContext& c, Product product, WeightId w, uint64_t rows);

void use_matrix(const SupportContext& c, Support& s, WeightId w);
void use_vector(Support& s, WeightId w);  // when present
// Empty: the weight runs; else why not.
std::string matrix_refusal(const SupportContext& c, WeightId w);
// What the input of a linear with this weight is rounded to: quantized weights follow the run's choice, others are never met with rounded inputs.
ActivationFormat activations_for(const SupportContext& c, WeightId w);
std::string kv_refusal(const SupportContext& c, KvRef ref, uint32_t heads, uint32_t head_size);
// Bytes of [rows width] float32 in scratch.
uint64_t rows_bytes(uint64_t rows, uint64_t width);

// ---- launches ----

struct NormStage {
  BufferRange x, out;
  RowClass rows;
  WeightId gain, bias;
  BufferRange residual;  // added when has_residual
  bool has_residual = false;
  bool layer = false;
  bool selects = false;  // rows of x are the step's output rows
  uint32_t width = 0, parts = 1;
  float eps = 0;
};
Status add_norm(const BindContext& c, uint32_t stage, const NormStage& n, Dispatches& out);

// x to the plan's activation format (not f32), as the product reads it. y has room for as many float32.
void add_round(const BindContext& c, uint32_t stage, Product product, const BufferRange& x, const BufferRange& y, const RowClass& rows,
               uint32_t k, Dispatches& out);

struct LinearStage {
  Product product = Product::plain;
  BufferRange x, out;
  RowClass rows;
  WeightId w, up, bias;  // up: act(x w') * (x up')
  BufferRange residual;
  bool has_residual = false;
  Activation activation = Activation::none;
};
Status add_linear(const BindContext& c, uint32_t stage, const LinearStage& l, Dispatches& out);

Status add_rope(const BindContext& c, uint32_t stage, const RopeSpec& rope, uint32_t heads, uint32_t head_size, const BufferRange& x,
                const BufferRange& y, Dispatches& out);

void add_kv_write(const BindContext& c, uint32_t stage, KvRef cache, uint32_t heads, uint32_t head_size, const BufferRange& k,
                  const BufferRange& v, Dispatches& out);

// The KvLayout of shaders/include/kv_page.glsl, as push constants.
std::vector<uint32_t> kv_push(const BindContext& c, KvRef cache);

}  // namespace kl::vulkan
