// rope as an op of its own.
#include "cuda/ops/ops.h"
#include "cuda/ops/stages.h"

namespace kl::cuda {
namespace {

Answer support(const Op& op, const SupportContext&) {
  const auto& o = std::get<Rope>(op);
  if (o.head_size % 2 != 0 || o.rope.dims % 2 != 0) return refuse("head size %u or turned dimensions %u are odd", o.head_size, o.rope.dims);
  Support s;
  s.stages = {{"rope"}};
  use_vector(s, o.rope.factors);
  return s;
}

Status bind(const Op& op, const BindContext& c, Launches& out) {
  const auto& o = std::get<Rope>(op);
  return add_rope(c, 0, o.rope, o.heads, o.head_size, c.value(o.x), c.value(o.out), out);
}

}  // namespace

const CudaKernel kRope = {"rope", "rope", support, bind};

}  // namespace kl::cuda
