// Launches that several ops are made of.
#pragma once
#include "cpu/kernel_table.h"
#include "cpu/pack/pack.h"

namespace kl::cpu {

// ---- predicates ----

// How a linear's input comes: rounded to q8 tiles for quantized weights; as float32 rows for F32, F16 and BF16 weights, and for quantized ones when the
// run asks for f32 or f16 activations (their panels are unpacked on the way). Empty: the weight runs as `config` asks; else the refusal.
std::string linear_refusal(const SupportContext& c, WeightId w, bool q8);
// What the plan prints: q8, or f32, or f16 when asked for.
ActivationFormat linear_activations(const SupportContext& c, WeightId w, bool q8);
// Appends the weight in its panel layout, and a vector operand (when present) as float32.
void use_linear(const SupportContext& c, Support& s, WeightId w);
void use_vector(Support& s, WeightId w);
inline uint64_t max_rows(const SupportContext& c, Rows rows) { return kl::max_rows(c.program, c.config, rows); }
// Scratch of a linear's input after rounding or norm, from `at` on.
inline uint64_t activation_bytes(const SupportContext& c, bool q8, uint64_t rows, uint64_t k) {
  (void)c;
  return q8 ? round_up(q8_bytes(rows, k), 64) : round_up(rows * k * sizeof(float), 64);
}

// ---- launches ----

// Up to three linears over one input, as one launch: tasks are panels of outputs.
struct LinearStage {
  LinearArgs part[3];  // rows is set from the step
  uint32_t parts = 0;
  Rows row_class = Rows::step;
};
// Bytes of one thread's scratch in which linear_launch unpacks quantized panels (gate and up): for ops with float32 inputs.
inline size_t unpack_bytes(size_t k) { return round_up(2 * k * kPanelOutputs * sizeof(float), 64); }
Launch linear_launch(LinearStage stage, const BindContext& c);

// Rows of x into q8 tiles, or through a norm into q8 tiles or float32 rows. select: rows are the step's output rows, gathered into `selected` first.
struct RowStage {
  NormArgs norm;         // x, y, q8, strides, k; rows is set from the step
  bool is_norm = false;  // false: quantize only
  bool layer = false;    // layer norm instead of RMS
  bool f16 = false;      // y is then rounded to f16
  Rows row_class = Rows::step;
  float* selected = nullptr;  // [O k]
  const CpuKernels* kernels = nullptr;
};
Launch row_launch(RowStage stage);

// Rows a task of a row-wise launch takes: whole activation tiles.
inline constexpr uint32_t kRowsPerTask = 2 * kTileRows;
inline uint32_t row_tasks(uint32_t rows) { return (rows + kRowsPerTask - 1) / kRowsPerTask; }

}  // namespace kl::cpu
