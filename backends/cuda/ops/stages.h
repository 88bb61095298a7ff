// Launches that several ops are made of. Each appends its launches with the stage's number.
#pragma once
#include "cuda/common/kv_pages.h"
#include "cuda/kernel_table.h"
#include "cuda/kernels/linear_row.h"

namespace kl::cuda {

using Launches = std::vector<Launch>;

// ---- predicates ----

void use_matrix(const SupportContext& c, Support& s, WeightId w);
void use_vector(Support& s, WeightId w);  // when present
// Empty: the weight runs; else why not.
std::string matrix_refusal(const SupportContext& c, WeightId w);
// What the input of a linear with this weight is rounded to: quantized weights follow the run's choice, others are never met with rounded inputs.
ActivationFormat activations_for(const SupportContext& c, WeightId w);
// The kernels of a linear, the one for the most rows first. Those with 8-bit and with float32 inputs have the same bits for a row; 16-bit inputs go to few and
// many alone where the card has them, and to row alone where it does not, so that there too a row's bits do not depend on how many rows a step has.
enum class LinearPath : uint8_t { many, few, eight, row };
constexpr const char* name(LinearPath p) {
  constexpr const char* kNames[] = {"many", "few", "eight", "row"};
  return kNames[static_cast<size_t>(p)];
}
// Empty: it takes steps of up to `rows` rows; else why not.
std::string path_refusal(LinearPath path, const Gpu& gpu, ActivationFormat inputs, uint64_t rows);
// The first that takes them.
LinearPath best_path(const Gpu& gpu, ActivationFormat inputs, uint64_t rows);
// The kernels of a decode step (row, eight) norm (RMS) and round their inputs themselves, in each of their blocks, so that no launch of its own has to. A step of more
// rows, which only a card without the other kernels takes by rows, would do that too often; 16-bit inputs have a launch.
bool prepares_inputs(const Gpu& gpu, ActivationFormat inputs, uint64_t rows);
// Empty: a cache of such heads runs; else why not.
std::string kv_refusal(const SupportContext& c, uint32_t kv_heads, uint32_t head_size);
// Bytes of [rows width] float32 in scratch.
uint64_t rows_bytes(uint64_t rows, uint64_t width);
// Bytes of the same rows rounded to a format, in scratch.
uint64_t rounded_bytes(ActivationFormat format, uint64_t rows, uint64_t width);

// ---- launches ----

uint32_t groups_of(uint64_t items, uint32_t per_group);

struct NormStage {
  const float* x = nullptr;
  float* out = nullptr;
  RowCount rows{};
  uint32_t most_rows = 0;
  WeightId gain, bias;
  const float* residual = nullptr;  // added when not null
  bool layer = false;
  bool selects = false;  // rows of x are the step's output rows
  uint32_t width = 0, parts = 1;
  float eps = 0;
};
Status add_norm(const BindContext& c, uint32_t stage, const NormStage& n, Launches& out);

// The input of a linear: float32 (x), or rounded to 8 bits (q), or to 16 (h). add_round makes what add_linear takes.
struct LinearInput {
  const float* x = nullptr;
  Quantized q{};
  Halves h{};
};
// x to the plan's activation format (not f32), into rounded_bytes() of scratch at `offset`.
LinearInput add_round(const BindContext& c, uint32_t stage, const float* x, uint64_t offset, const RowCount& rows, uint32_t most_rows,
                      uint32_t k, Launches& out);

// RMS norm and rounding to 8 bits in one launch, the same bits as add_norm and add_round; n.out is not used. rounded_bytes() of scratch at `offset`.
Result<LinearInput> add_norm_quantize(const BindContext& c, uint32_t stage, const NormStage& n, uint64_t offset, Launches& out);

struct LinearStage {
  LinearInput in;
  bool rounds = false;  // in.x is rounded to 8 bits by the kernel, and normed before where there is a gain (prepares_inputs())
  WeightId gain;
  float eps = 0;
  float* out = nullptr;
  RowCount rows{};
  uint32_t most_rows = 0;  // the path follows from it (best_path)
  WeightId w, up, bias;    // up: act(x w') * (x up')
  WeightId out_gain;       // residual + norm(x w'), with `eps`: where the kernel prepares inputs, which has no norm of its own then
  const float* residual = nullptr;
  Activation activation = Activation::none;
};
Status add_linear(const BindContext& c, uint32_t stage, const LinearStage& l, Launches& out);

// The inputs of a row or eight kernel: `in` as it is, or normed (with a gain) and rounded to `inputs` there. w: any matrix of the launch.
Result<RowInputs> row_inputs(const BindContext& c, LinearPath path, const LinearInput& in, ActivationFormat inputs, WeightId gain,
                             float eps, const Matrix& w, uint32_t most_rows);
// Threads of such a kernel's block, which is a panel or more.
uint32_t row_threads(const Gpu& gpu, LinearPath path, uint32_t panels);

// k and v into the cache; before that head norms and rope, where there are any, for q as well.
struct KvWriteStage {
  const float *q = nullptr, *k = nullptr, *v = nullptr;  // q: optional, with heads
  float* q_out = nullptr;
  KvRef cache;
  uint32_t heads = 0, kv_heads = 0, head_size = 0;
  WeightId q_gain, k_gain;  // optional
  float eps = 0;
  const RopeSpec* rope = nullptr;
};
Status add_kv_write(const BindContext& c, uint32_t stage, const KvWriteStage& w, Launches& out);

// q, k and v of up to kLinearRowRows rows, down to the cache, in one launch (qkv_row.cu).
struct QkvStage {
  const float* x = nullptr;
  bool rounds = false;
  WeightId gain;
  float eps = 0;
  uint32_t most_rows = 0;
  struct {
    WeightId w, bias;
    float* out = nullptr;
  } parts[3];
  KvWriteStage heads;  // q, k and v are the parts' out
};
Status add_qkv(const BindContext& c, uint32_t stage, const QkvStage& q, Launches& out);

Status add_rope(const BindContext& c, uint32_t stage, const RopeSpec& rope, uint32_t heads, uint32_t head_size, const float* x, float* y,
                Launches& out);

// The group's pages as kernels take them.
KvPages kv_pages(const BindContext& c, KvRef cache);

}  // namespace kl::cuda
