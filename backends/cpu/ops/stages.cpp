#include "cpu/ops/stages.h"

#include <algorithm>
#include <cstring>

namespace kl::cpu {

std::string linear_refusal(const SupportContext& c, WeightId w, bool q8) {
  const WeightInfo& i = c.info(w);
  if (reads_q8(i.format) != q8) return format("weights are %s", kl::name(i.format));
  if (q8 && c.config.activations != ActivationFormat::q8) return format("rounds activations to q8, %s asked for", kl::name(c.config.activations));
  if (i.k % kl::info(i.format).block_elements != 0) return format("K = %u is not a multiple of %u", i.k, kl::info(i.format).block_elements);
  return {};
}

void use_linear(const SupportContext& c, Support& s, WeightId w) { s.weights.push_back({w, layout_name(c.info(w).format)}); }

void use_vector(Support& s, WeightId w) {
  if (w.valid()) s.weights.push_back({w, kVector});
}

namespace {

struct LinearLaunch {
  LinearStage stage;
  void (*linear)(const LinearArgs&, size_t, size_t, size_t, size_t);
  uint32_t panels = 0;
};

// Decode reads each weight once: equal shares keep the streams long. With more rows a panel is tens of microseconds of work: claimed one by one.
constexpr uint32_t kStreamPanels = 64;  // panels per thread from which a decode launch is claimed in pieces

uint32_t linear_tasks(const LinearLaunch& a, const StepState& step) {
  const uint32_t rows = live_rows(step, a.stage.per_output);
  if (rows == 0) return 0;
  if (step.threads == 1) return 1;
  if (rows > kTileRows) return a.panels;
  return std::min(a.panels, a.panels >= kStreamPanels * step.threads ? 8 * step.threads : step.threads);
}

void linear_run(const LinearLaunch& a, const StepState& step, uint32_t task, uint32_t) {
  const uint32_t tasks = linear_tasks(a, step);
  uint32_t first = static_cast<uint32_t>(uint64_t{a.panels} * task / tasks);
  const uint32_t last = static_cast<uint32_t>(uint64_t{a.panels} * (task + 1) / tasks);
  const uint32_t rows = live_rows(step, a.stage.per_output);
  uint32_t base = 0;
  for (uint32_t p = 0; p < a.stage.parts && first < last; ++p) {
    const uint32_t end = base + static_cast<uint32_t>(panel_count(a.stage.part[p].n));
    if (first < end) {
      LinearArgs args = a.stage.part[p];
      args.rows = rows;
      a.linear(args, first - base, std::min(last, end) - base, 0, tile_count(rows));
      first = std::min(last, end);
    }
    base = end;
  }
}

uint32_t row_stage_tasks(const RowStage& a, const StepState& step) { return row_tasks(live_rows(step, a.per_output)); }

void row_stage_run(const RowStage& a, const StepState& step, uint32_t task, uint32_t) {
  const uint32_t rows = live_rows(step, a.per_output);
  const uint32_t first = task * kRowsPerTask, last = std::min(rows, first + kRowsPerTask);
  NormArgs args = a.norm;
  args.rows = rows;
  if (a.selected != nullptr) {
    for (uint32_t r = first; r < last; ++r) {
      std::memcpy(a.selected + size_t{r} * args.k, args.x + size_t{step.params.output_rows()[r]} * args.x_stride, args.k * sizeof(float));
    }
    args.x = a.selected;
    args.x_stride = args.k;
  }
  if (a.is_norm) {
    (a.layer ? a.kernels->layer_norm : a.kernels->rms_norm)(args, first, last);
  } else {
    a.kernels->quantize({args.x, args.x_stride, rows, args.k, args.q8}, first, last);
  }
}

}  // namespace

Launch linear_launch(LinearStage stage, const BindContext& c) {
  LinearLaunch launch{stage, c.kernels.linear, 0};
  for (uint32_t p = 0; p < stage.parts; ++p) launch.panels += static_cast<uint32_t>(panel_count(stage.part[p].n));
  return make_launch<LinearLaunch, linear_run, linear_tasks>(std::make_shared<const LinearLaunch>(launch));
}

Launch row_launch(RowStage stage) { return make_launch<RowStage, row_stage_run, row_stage_tasks>(std::make_shared<const RowStage>(stage)); }

}  // namespace kl::cpu
