// norm_qkv_rope: q, k, v = norm(x) W' + b; heads normed and turned; k and v into the cache.
// Stages: norm; rounding, where the plan rounds; the three products, side by side; head norms and rope, where the model has them; the cache write.
#include <algorithm>

#include "vulkan/ops/ops.h"
#include "vulkan/ops/stages.h"

namespace kl::vulkan {
namespace {

// Offsets in scratch. q and k pass through up to two of three buffers each.
struct Scratch {
  uint64_t normed = 0, rounded = 0, v = 0, k[2] = {0, 0}, q[2] = {0, 0}, bytes = 0;
};
Scratch layout(uint64_t rows, uint64_t width, uint64_t q_width, uint64_t kv_width) {
  Scratch s;
  const auto take = [&](uint64_t w) {
    const uint64_t at = s.bytes;
    s.bytes += rows_bytes(rows, w);
    return at;
  };
  s.normed = take(width);
  s.rounded = take(width);
  s.v = take(kv_width);
  for (int i = 0; i < 2; ++i) {
    s.k[i] = take(kv_width);
    s.q[i] = take(q_width);
  }
  return s;
}

template <Product kProduct>
Answer support(const Op& op, const SupportContext& c) {
  const auto& o = std::get<NormQkvRope>(op);
  for (const WeightId w : {o.wq, o.wk, o.wv}) {
    if (const std::string reason = product_refusal(c, kProduct, w, c.config.rows); !reason.empty()) return Refusal{reason};
    if (const std::string reason = matrix_refusal(c, w); !reason.empty()) return Refusal{reason};
    if (activations_for(c, w) != activations_for(c, o.wq))
      return refuse("q is %s and another of k, v is %s: their inputs are rounded differently", name(c.info(o.wq).format),
                    name(c.info(w).format));
  }
  if (const std::string reason = kv_refusal(c, o.cache, o.kv_heads, o.head_size); !reason.empty()) return Refusal{reason};
  Support s;
  s.kernel = kv_layout_name(c.config.kv);
  s.activations = activations_for(c, o.wq);
  for (const WeightId w : {o.wq, o.wk, o.wv}) use_matrix(c, s, w);
  for (const WeightId w : {o.gain, o.bq, o.bk, o.bv, o.q_gain, o.k_gain, o.rope.factors}) use_vector(s, w);
  s.stages.push_back({"norm"});
  if (s.activations != ActivationFormat::f32) s.stages.push_back({"round"});
  s.stages.push_back({"qkv"});
  if (o.q_gain.valid() || o.k_gain.valid()) s.stages.push_back({"head norms"});
  if (o.rope.enabled) s.stages.push_back({"rope"});
  s.stages.push_back({"cache"});
  s.scratch_bytes = layout(c.config.rows, c.info(o.wq).k, uint64_t{o.heads} * o.head_size, uint64_t{o.kv_heads} * o.head_size).bytes;
  return s;
}

// q or k on its way: where it is, and where it may go next.
struct Track {
  BufferRange now, next;
  uint32_t heads = 0;
  WeightId gain;
  void moved() { std::swap(now, next); }
};

template <Product kProduct>
Status bind(const Op& op, const BindContext& c, Dispatches& out) {
  const auto& o = std::get<NormQkvRope>(op);
  const uint32_t k = c.info(o.wq).k, q_width = o.heads * o.head_size, kv_width = o.kv_heads * o.head_size;
  const RowClass rows = c.rows(o.x);
  const Scratch s = layout(rows.most, k, q_width, kv_width);
  const auto range = [&](uint64_t at, uint32_t width) { return c.scratch(at, uint64_t{rows.most} * width * 4); };
  uint32_t stage = 0;

  NormStage n;
  n.x = c.value(o.x);
  n.out = range(s.normed, k);
  n.rows = rows;
  n.gain = o.gain;
  n.width = k;
  n.eps = o.eps;
  KL_TRY(add_norm(c, stage++, n, out));
  BufferRange x = n.out;
  if (c.planned.support.activations != ActivationFormat::f32) {
    x = range(s.rounded, k);
    add_round(c, stage++, kProduct, n.out, x, rows, k, out);
  }

  // The last step that q passes writes the op's result.
  const bool normed = o.q_gain.valid() || o.k_gain.valid();
  const BufferRange result = c.value(o.out), v = range(s.v, kv_width);
  Track q{range(s.q[0], q_width), range(s.q[1], q_width), o.heads, o.q_gain};
  Track key{range(s.k[0], kv_width), range(s.k[1], kv_width), o.kv_heads, o.k_gain};
  if (!o.rope.enabled && !o.q_gain.valid()) q.now = result;
  const auto linear = [&](WeightId w, WeightId bias, const BufferRange& to) {
    LinearStage l;
    l.product = kProduct;
    l.x = x;
    l.out = to;
    l.rows = rows;
    l.w = w;
    l.bias = bias;
    return add_linear(c, stage, l, out);
  };
  KL_TRY(linear(o.wq, o.bq, q.now));
  KL_TRY(linear(o.wk, o.bk, key.now));
  KL_TRY(linear(o.wv, o.bv, v));
  ++stage;
  if (normed) {
    for (Track* t : {&q, &key}) {
      if (!t->gain.valid()) continue;
      NormStage h;
      h.x = t->now;
      h.out = t == &q && !o.rope.enabled ? result : t->next;
      h.rows = rows;
      h.gain = t->gain;
      h.width = o.head_size;
      h.parts = t->heads;
      h.eps = o.eps;
      KL_TRY(add_norm(c, stage, h, out));
      t->moved();
    }
    ++stage;
  }
  if (o.rope.enabled) {
    KL_TRY(add_rope(c, stage, o.rope, o.heads, o.head_size, q.now, result, out));
    KL_TRY(add_rope(c, stage, o.rope, o.kv_heads, o.head_size, key.now, key.next, out));
    key.moved();
    ++stage;
  }
  add_kv_write(c, stage, o.cache, o.kv_heads, o.head_size, key.now, v, out);
  return {};
}

}  // namespace

constinit const Products kNormQkvRope = {
    VulkanKernel{"norm_qkv_rope.matrix", "norm_qkv_rope", support<Product::matrix>, bind<Product::matrix>},
    VulkanKernel{"norm_qkv_rope.dot", "norm_qkv_rope", support<Product::dot>, bind<Product::dot>},
    VulkanKernel{"norm_qkv_rope", "norm_qkv_rope", support<Product::plain>, bind<Product::plain>}};

}  // namespace kl::vulkan
