#include "cpu/ops/stages.h"

#include <algorithm>
#include <cstring>

#include "core/half.h"

namespace kl::cpu {

std::string linear_refusal(const SupportContext& c, WeightId w, bool q8) {
  const WeightInfo& i = c.info(w);
  if (q8 && !reads_q8(i.format)) return format("weights are %s", kl::name(i.format));
  if (q8 && c.config.activations != ActivationFormat::q8)
    return format("rounds activations to q8, %s asked for", kl::name(c.config.activations));
  if (!q8 && reads_q8(i.format) && c.config.activations == ActivationFormat::q8) return "keeps activations in f32, q8 asked for";
  if (i.k % kl::info(i.format).block_elements != 0) return format("K = %u is not a multiple of %u", i.k, kl::info(i.format).block_elements);
  return {};
}

ActivationFormat linear_activations(const SupportContext& c, WeightId w, bool q8) {
  if (q8) return ActivationFormat::q8;
  return reads_q8(c.info(w).format) ? c.config.activations : ActivationFormat::f32;
}

void use_linear(const SupportContext& c, Support& s, WeightId w) { s.weights.push_back({w, layout_name(c.info(w).format)}); }

void use_vector(Support& s, WeightId w) {
  if (w.valid()) s.weights.push_back({w, kVector});
}

namespace {

struct LinearLaunch {
  LinearStage stage;
  const CpuKernels* kernels = nullptr;
  uint32_t panels = 0;
};

// Decode reads each weight once: equal shares keep the streams long. With more rows a panel is tens of microseconds of work: claimed one by one.
constexpr uint32_t kStreamPanels = 64;  // panels per thread from which a decode launch is claimed in pieces

// Every panel reads the rows again: of an encoder's thousands a block at a time, which stays in the caches that the team shares (4,096 rows of 1,152:
// 90 % of the fma peak instead of 80 %).
constexpr uint32_t kBlockTiles = 96;

uint32_t row_blocks(uint32_t rows) { return static_cast<uint32_t>((tile_count(rows) + kBlockTiles - 1) / kBlockTiles); }

uint32_t panel_tasks(const LinearLaunch& a, const StepState& step, uint32_t rows) {
  if (step.threads == 1) return 1;
  if (rows > kTileRows) return a.panels;
  return std::min(a.panels, a.panels >= kStreamPanels * step.threads ? 8 * step.threads : step.threads);
}

uint32_t linear_tasks(const LinearLaunch& a, const StepState& step) {
  const uint32_t rows = live_rows(step, a.stage.row_class);
  return rows == 0 ? 0 : row_blocks(rows) * panel_tasks(a, step, rows);
}

// Over float32 rows panels are unpacked into the thread's scratch and run as F32 panels: always for quantized weights, for 16-bit floats from as many
// rows on as pay for it. There the products of 6 rows cannot hide the conversions (75 % of the fma peak against 92 %); one pass that converts costs
// about as much as the tiles of 48 rows save. The values and so the bits are the same either way.
constexpr uint32_t kWidenRows = 48;

bool unpacks(const LinearArgs& args, const LinearWeight& w) {
  return args.q8 == nullptr && w.panels != nullptr && w.format != Format::f32 && (reads_q8(w.format) || args.rows >= kWidenRows);
}

void run_unpacked(const CpuKernels& kernels, const LinearArgs& whole, size_t first, size_t last, size_t tile0, size_t tile1,
                  std::byte* scratch) {
  auto* w = reinterpret_cast<float*>(scratch);
  float* up = w + whole.k * kPanelOutputs;
  for (size_t panel = first; panel < last; ++panel) {
    const size_t n = panel * kPanelOutputs;
    LinearArgs args = whole;
    const auto unpack = [&](LinearWeight& weight, float* to) {
      if (weight.panels == nullptr) return;
      if (weight.bias != nullptr) weight.bias += n;
      const std::byte* at = weight.panels + panel * panel_bytes(weight.format, whole.k);
      if (!unpacks(whole, weight)) {
        weight.panels = at;
        return;
      }
      kernels.unpack(weight.format, at, whole.k, to);
      weight.panels = reinterpret_cast<const std::byte*>(to);
      weight.format = Format::f32;
    };
    unpack(args.w, w);
    unpack(args.up, up);
    args.n = std::min(kPanelOutputs, whole.n - n);
    args.y += n;
    if (args.residual != nullptr) args.residual += n;
    kernels.linear(args, 0, 1, tile0, tile1);
  }
}

void linear_run(const LinearLaunch& a, const StepState& step, uint32_t task, uint32_t thread) {
  const uint32_t rows = live_rows(step, a.stage.row_class), blocks = row_blocks(rows), tasks = panel_tasks(a, step, rows);
  const uint32_t block = task / tasks, share = task % tasks;
  const size_t tile0 = tile_count(rows) * block / blocks, tile1 = tile_count(rows) * (block + 1) / blocks;
  uint32_t first = static_cast<uint32_t>(uint64_t{a.panels} * share / tasks);
  const uint32_t last = static_cast<uint32_t>(uint64_t{a.panels} * (share + 1) / tasks);
  uint32_t base = 0;
  for (uint32_t p = 0; p < a.stage.parts && first < last; ++p) {
    const uint32_t end = base + static_cast<uint32_t>(panel_count(a.stage.part[p].n));
    if (first < end) {
      LinearArgs args = a.stage.part[p];
      args.rows = rows;
      if (unpacks(args, args.w) || unpacks(args, args.up)) {
        run_unpacked(*a.kernels, args, first - base, std::min(last, end) - base, tile0, tile1, step.scratch + thread * step.scratch_stride);
      } else {
        a.kernels->linear(args, first - base, std::min(last, end) - base, tile0, tile1);
      }
      first = std::min(last, end);
    }
    base = end;
  }
}

uint32_t row_stage_tasks(const RowStage& a, const StepState& step) { return row_tasks(live_rows(step, a.row_class)); }

void row_stage_run(const RowStage& a, const StepState& step, uint32_t task, uint32_t) {
  const uint32_t rows = live_rows(step, a.row_class);
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
  } else if (args.q8 != nullptr) {
    a.kernels->quantize({args.x, args.x_stride, rows, args.k, args.q8}, first, last);
  } else {
    for (size_t r = first; r < last; ++r) std::memcpy(args.y + r * args.y_stride, args.x + r * args.x_stride, args.k * sizeof(float));
  }
  if (!a.f16) return;
  for (size_t r = first; r < last; ++r) {
    float* y = args.y + r * args.y_stride;
    for (size_t i = 0; i < args.k; ++i) y[i] = f16_to_f32(f32_to_f16(y[i]));
  }
}

}  // namespace

Launch linear_launch(LinearStage stage, const BindContext& c) {
  LinearLaunch launch{stage, &c.kernels, 0};
  for (uint32_t p = 0; p < stage.parts; ++p) {
    launch.panels += static_cast<uint32_t>(panel_count(stage.part[p].n));
    if (stage.part[p].q8 == nullptr && stage.part[p].w.format != Format::f32) c.need_thread_scratch(unpack_bytes(stage.part[p].k));
  }
  return make_launch<LinearLaunch, linear_run, linear_tasks>(std::make_shared<const LinearLaunch>(launch));
}

Launch row_launch(RowStage stage) { return make_launch<RowStage, row_stage_run, row_stage_tasks>(std::make_shared<const RowStage>(stage)); }

}  // namespace kl::cpu
