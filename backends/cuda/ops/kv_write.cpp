// kv_write as an op of its own: what norm_qkv_rope's definition is made of.
#include "cuda/ops/ops.h"
#include "cuda/ops/stages.h"

namespace kl::cuda {
namespace {

Answer support(const Op& op, const SupportContext& c) {
  const auto& o = std::get<KvWrite>(op);
  if (const std::string reason = kv_refusal(c, o.heads, o.head_size); !reason.empty()) return Refusal{reason};
  Support s;
  s.kernel = kv_layout_name(c.config.kv);
  s.stages = {{"write"}};
  return s;
}

Status bind(const Op& op, const BindContext& c, Launches& out) {
  const auto& o = std::get<KvWrite>(op);
  KvWriteStage w;
  w.k = c.value(o.k);
  w.v = c.value(o.v);
  w.cache = o.cache;
  w.kv_heads = o.heads;
  w.head_size = o.head_size;
  return add_kv_write(c, 0, w, out);
}

}  // namespace

const CudaKernel kKvWrite = {"kv_write", "kv_write", support, bind};

}  // namespace kl::cuda
