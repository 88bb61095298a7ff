// rope and kv_write as ops of their own: what norm_qkv_rope's definition is made of.
#include "vulkan/ops/ops.h"
#include "vulkan/ops/stages.h"

namespace kl::vulkan {
namespace {

Answer support_rope(const Op& op, const SupportContext&) {
  const auto& o = std::get<Rope>(op);
  if (o.head_size % 2 != 0 || o.rope.dims % 2 != 0) return refuse("head size %u or turned dimensions %u are odd", o.head_size, o.rope.dims);
  Support s;
  s.stages = {{"rope"}};
  use_vector(s, o.rope.factors);
  return s;
}

Status bind_rope(const Op& op, const BindContext& c, Dispatches& out) {
  const auto& o = std::get<Rope>(op);
  return add_rope(c, 0, o.rope, o.heads, o.head_size, c.value(o.x), c.value(o.out), out);
}

Answer support_write(const Op& op, const SupportContext& c) {
  const auto& o = std::get<KvWrite>(op);
  if (const std::string reason = kv_refusal(c, o.cache, o.heads, o.head_size); !reason.empty()) return Refusal{reason};
  Support s;
  s.kernel = kv_layout_name(c.config.kv);
  s.stages = {{"write"}};
  return s;
}

Status bind_write(const Op& op, const BindContext& c, Dispatches& out) {
  const auto& o = std::get<KvWrite>(op);
  add_kv_write(c, 0, o.cache, o.heads, o.head_size, c.value(o.k), c.value(o.v), out);
  return {};
}

}  // namespace

const VulkanKernel kRope = {"rope", "rope", support_rope, bind_rope};
const VulkanKernel kKvWrite = {"kv_write", "kv_write", support_write, bind_write};

}  // namespace kl::vulkan
