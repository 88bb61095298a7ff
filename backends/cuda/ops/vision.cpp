// What only encoders of pictures have: patchify, pool.
#include "cuda/kernels/patchify.h"
#include "cuda/kernels/pool.h"
#include "cuda/ops/ops.h"
#include "cuda/ops/stages.h"

namespace kl::cuda {
namespace {

Answer support_plain(const Op& op, const SupportContext&) {
  Support s;
  s.stages = {{name(op)}};
  return s;
}

Status bind_pool(const Op& op, const BindContext& c, Launches& out) {
  const auto& o = std::get<Pool>(op);
  const PoolArgs a{c.value(o.x), c.value(o.out), c.rows(o.out), c.width(o.x), o.count, o.kind == PoolKind::mean};
  Launch l = make_launch("pool", a, kPoolThreads);
  l.grid[0] = groups_of(c.width(o.out), kPoolThreads);
  l.grid[1] = c.most_rows(o.out);
  out.push_back(std::move(l));
  return {};
}

Status bind_patchify(const Op& op, const BindContext& c, Launches& out) {
  const auto& o = std::get<Patchify>(op);
  if (c.bindings.pixels == nullptr) return error(Code::internal, "patchify without pixels");
  std::vector<float> levels;
  for (int channel = 0; channel < 3; ++channel) {
    for (int byte = 0; byte < 256; ++byte)
      levels.push_back(
          static_cast<float>((byte / 255.0 - static_cast<double>(o.mean[channel])) / static_cast<double>(o.deviation[channel])));
  }
  PatchifyArgs a{};
  a.pixels = reinterpret_cast<const unsigned char*>(c.pixels());
  KL_ASSIGN(a.level, c.table(levels));
  const StepParams p = c.params();
  a.first_pixel = c.step(p.row_pixel());
  a.pixel_stride = c.step(&p.header().pixel_stride);
  a.y = c.value(o.out);
  a.rows = c.rows(o.out);
  a.size = o.size;
  Launch l = make_launch("patchify", a, kPatchifyThreads);
  l.grid[0] = groups_of(uint64_t{3} * o.size * o.size, kPatchifyThreads);
  l.grid[1] = c.most_rows(o.out);
  out.push_back(std::move(l));
  return {};
}

}  // namespace

const CudaKernel kPool = {"pool", "pool", support_plain, bind_pool};
const CudaKernel kPatchify = {"patchify", "patchify", support_plain, bind_patchify};

}  // namespace kl::cuda
