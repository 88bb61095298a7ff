// sample: the largest of parts, then the draw of the row.
#include "cuda/kernels/sample.h"
#include "core/checked.h"
#include "cuda/ops/ops.h"
#include "cuda/ops/stages.h"

namespace kl::cuda {
namespace {

uint32_t parts_of(uint32_t width) { return groups_of(width, kSamplePart); }

// Scratch: the parts' keys, then the counts of digits.
uint64_t counts_at(uint64_t rows, uint32_t width) { return round_up(rows * parts_of(width) * sizeof(uint64_t), kAlignment); }

Answer support(const Op& op, const SupportContext& c) {
  const auto& o = std::get<Sample>(op);
  Support s;
  s.stages = {{"part"}, {"draw"}};
  s.scratch_bytes = counts_at(c.max_rows(o.out), c.program.info(o.logits).width) + c.max_rows(o.out) * 256 * sizeof(uint32_t);
  return s;
}

Status bind(const Op& op, const BindContext& c, Launches& out) {
  const auto& o = std::get<Sample>(op);
  SampleArgs a{};
  a.logits = c.value(o.logits);
  a.draws = c.step(reinterpret_cast<const uint32_t*>(c.params().draws()));
  a.keys = reinterpret_cast<uint64_t*>(c.scratch(0));
  a.counts = reinterpret_cast<uint32_t*>(c.scratch(counts_at(c.most_rows(o.out), c.width(o.logits))));
  a.out = reinterpret_cast<int32_t*>(c.value(o.out));
  a.rows = c.rows(o.out);
  a.width = c.width(o.logits);
  a.parts = parts_of(a.width);
  Launch part = make_launch("sample__part", a, kSampleThreads);
  part.grid[0] = a.parts;
  part.grid[1] = c.most_rows(o.out);
  out.push_back(std::move(part));
  Launch draw = make_launch("sample__draw", a, kSampleThreads);
  draw.grid[0] = c.most_rows(o.out);
  draw.stage = 1;
  out.push_back(std::move(draw));
  return {};
}

}  // namespace

const CudaKernel kSample = {"sample", "sample", support, bind};

}  // namespace kl::cuda
