// sample: the largest of parts, then of the row.
#include "cuda/kernels/sample.h"
#include "core/checked.h"
#include "cuda/ops/ops.h"
#include "cuda/ops/stages.h"

namespace kl::cuda {
namespace {

uint32_t parts_of(uint32_t width) { return groups_of(width, kSamplePart); }

Answer support(const Op& op, const SupportContext& c) {
  const auto& o = std::get<Sample>(op);
  Support s;
  s.stages = {{"part"}, {"join"}};
  s.scratch_bytes = round_up(c.max_rows(o.out) * parts_of(c.program.info(o.logits).width) * sizeof(uint64_t), kAlignment);
  return s;
}

Status bind(const Op& op, const BindContext& c, Launches& out) {
  const auto& o = std::get<Sample>(op);
  SampleArgs a{};
  a.logits = c.value(o.logits);
  a.keys = reinterpret_cast<uint64_t*>(c.scratch(0));
  a.out = reinterpret_cast<int32_t*>(c.value(o.out));
  a.rows = c.rows(o.out);
  a.width = c.width(o.logits);
  a.parts = parts_of(a.width);
  Launch part = make_launch("sample__part", a, kSampleThreads);
  part.grid[0] = a.parts;
  part.grid[1] = c.most_rows(o.out);
  out.push_back(std::move(part));
  Launch join = make_launch("sample__join", a, kSampleThreads);
  join.grid[0] = c.most_rows(o.out);
  join.stage = 1;
  out.push_back(std::move(join));
  return {};
}

}  // namespace

const CudaKernel kSample = {"sample", "sample", support, bind};

}  // namespace kl::cuda
