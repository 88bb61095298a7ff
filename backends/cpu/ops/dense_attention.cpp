// dense_attention: rows attend to the rows of their own range. Stages: keys and values of every head into panels; tiles of rows, head by head, so that
// the threads share a head's panels in cache.
#include "cpu/ops/ops.h"
#include "cpu/ops/stages.h"

namespace kl::cpu {
namespace {

constexpr uint32_t kMaxHeadSize = 1024;

struct Args {
  const CpuAttentionKernels* kernels = nullptr;
  const StepRanges* ranges = nullptr;
  DenseAttentionArgs dense;
};

uint32_t pack_tasks(const Args& a, const StepState&) { return static_cast<uint32_t>(a.ranges->tiles.size()) * kDenseTileBlocks; }

void pack_run(const Args& a, const StepState&, uint32_t task, uint32_t) {
  a.kernels->dense_pack(a.dense, a.ranges->tiles[task / kDenseTileBlocks], task % kDenseTileBlocks);
}

uint32_t tasks(const Args& a, const StepState&) { return static_cast<uint32_t>(a.ranges->tiles.size()) * a.dense.heads; }

void run(const Args& a, const StepState& step, uint32_t task, uint32_t thread) {
  const auto tiles = static_cast<uint32_t>(a.ranges->tiles.size());
  a.kernels->dense_attention(a.dense, a.ranges->tiles[task % tiles], task / tiles, step.scratch + thread * step.scratch_stride);
}

Answer support(const Op& op, const SupportContext& c) {
  const auto& o = std::get<DenseAttention>(op);
  if (o.head_size > kMaxHeadSize) return refuse("head size %u is more than %u", o.head_size, kMaxHeadSize);
  if (o.segmentation >= c.config.limits.segmentations)
    return refuse("segmentation %u of %u", o.segmentation, c.config.limits.segmentations);
  Support s;
  s.kernel = c.isa;
  s.stages = {{"pack"}, {"attention"}};
  s.scratch_bytes = round_up(o.heads * dense_head_floats(c.config.rows, o.head_size) * sizeof(float), 64);
  return s;
}

Status bind(const Op& op, const BindContext& c, std::vector<Launch>& out) {
  const auto& o = std::get<DenseAttention>(op);
  Args a;
  a.kernels = &c.attention;
  a.ranges = c.ranges(o.segmentation);
  a.dense.q = c.value(o.q);
  a.dense.k = c.value(o.k);
  a.dense.v = c.value(o.v);
  a.dense.out = c.value(o.out);
  a.dense.stride = c.width(o.q);
  a.dense.heads = o.heads;
  a.dense.head_size = o.head_size;
  a.dense.scale = o.scale;
  a.dense.packed = reinterpret_cast<float*>(c.scratch());
  a.dense.capacity = c.plan.config.rows;
  c.need_thread_scratch(dense_scratch_bytes(o.head_size));
  const auto shared = std::make_shared<const Args>(a);
  out.push_back(make_launch<Args, pack_run, pack_tasks>(shared));
  out.push_back(make_launch<Args, run, tasks>(shared));
  return {};
}

}  // namespace

const CpuKernel kDenseAttention = {"dense_attention", "dense_attention", support, bind};

}  // namespace kl::cpu
