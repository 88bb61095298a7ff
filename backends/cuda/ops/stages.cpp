#include "cuda/ops/stages.h"

#include <algorithm>
#include <utility>

#include "core/checked.h"
#include "cuda/kernels/norm.h"
#include "cuda/kernels/quantize.h"

namespace kl::cuda {
namespace {

bool quantized(Format f) { return f != Format::f32 && f != Format::f16 && f != Format::bf16; }

// Where the parts of 8-bit rows lie in their scratch.
struct QuantizedPlaces {
  uint64_t scale = 0, sum = 0, bytes = 0;
};
QuantizedPlaces quantized_places(uint64_t rows, uint64_t width) {
  const uint64_t tiles = ceil_div(width, kTileColumns);
  QuantizedPlaces p;
  p.scale = round_up(rows * tiles * 64, kAlignment);
  p.sum = p.scale + rows_bytes(rows, 2 * tiles);
  p.bytes = p.sum + rows_bytes(rows, 2 * tiles);
  return p;
}

// The same for halves and their sums.
struct HalvesPlaces {
  uint64_t sum = 0, bytes = 0;
};
HalvesPlaces halves_places(uint64_t rows, uint64_t width) {
  const uint64_t tiles = ceil_div(width, kTileColumns);
  const uint64_t sum = round_up(rows * tiles * kTileColumns * 2, kAlignment);
  return {sum, sum + rows_bytes(rows, 2 * tiles)};
}

// From here on cards have mma.sync m16n8k32 over bytes and m16n8k16 over halves.
constexpr int kTensorArchitecture = 80;
// Rows from which a kernel is taken. Not measured: there was no card. The bits do not depend on them. eight: by counting instructions (docs/design/0005-cuda.md).
constexpr uint64_t kEightFrom = 3, kFewFrom = kLinearRowRows + 1, kManyFrom = kLinearFewRows + 1, kTileFrom = 33;

}  // namespace

void use_matrix(const SupportContext& c, Support& s, WeightId w) { s.weights.push_back({w, layout_name(c.info(w).format)}); }
void use_vector(Support& s, WeightId w) {
  if (w.valid()) s.weights.push_back({w, kVector});
}

std::string matrix_refusal(const SupportContext& c, WeightId w) {
  const WeightInfo& i = c.info(w);
  if (i.k % 4 != 0) return format("K = %u is not a multiple of 4", i.k);
  if (i.k % kl::info(i.format).block_elements != 0) return format("K = %u is not a multiple of %u", i.k, kl::info(i.format).block_elements);
  return {};
}

ActivationFormat activations_for(const SupportContext& c, WeightId w) {
  return quantized(c.info(w).format) ? c.config.activations : ActivationFormat::f32;
}

std::string path_refusal(LinearPath path, const Gpu& gpu, ActivationFormat inputs, uint64_t rows) {
  const bool tensor = gpu.architecture >= kTensorArchitecture;
  if (path == LinearPath::row)
    return inputs == ActivationFormat::f16 && tensor ? "16-bit inputs are the tensor cores' on this card, for any number of rows" : "";
  const auto fewer = [&](uint64_t from) {
    return rows < from ? format("%llu rows, fewer than %llu", static_cast<unsigned long long>(rows), static_cast<unsigned long long>(from))
                       : "";
  };
  if (inputs == ActivationFormat::f32) return path == LinearPath::many ? fewer(kTileFrom) : "inputs are f32";
  if (!tensor) return format("sm_%d: mma.sync m16n8k32 needs sm_%d", gpu.architecture, kTensorArchitecture);
  if (path == LinearPath::many) return fewer(kManyFrom);
  if (path == LinearPath::few) return fewer(inputs == ActivationFormat::f16 ? 1 : kFewFrom);
  if (inputs == ActivationFormat::f16) return "inputs are f16";
  return rows > kLinearRowRows ? format("%llu rows, more than %u", static_cast<unsigned long long>(rows), kLinearRowRows)
                               : fewer(kEightFrom);
}

LinearPath best_path(const Gpu& gpu, ActivationFormat inputs, uint64_t rows) {
  for (const LinearPath path : {LinearPath::many, LinearPath::few, LinearPath::eight}) {
    if (path_refusal(path, gpu, inputs, rows).empty()) return path;
  }
  return LinearPath::row;
}

bool prepares_inputs(const Gpu& gpu, ActivationFormat inputs, uint64_t rows) {
  const LinearPath path = best_path(gpu, inputs, rows);
  return inputs != ActivationFormat::f16 && rows <= kLinearRowRows && (path == LinearPath::row || path == LinearPath::eight);
}

std::string kv_refusal(const SupportContext& c, uint32_t kv_heads, uint32_t head_size) {
  if (!valid(KvPageShape{c.config.kv, head_size, kv_heads})) return format("head size %u is not a multiple of 8 from 8 to 1024", head_size);
  return {};
}

uint64_t rows_bytes(uint64_t rows, uint64_t width) { return round_up(rows * width * sizeof(float), kAlignment); }

uint64_t rounded_bytes(ActivationFormat format, uint64_t rows, uint64_t width) {
  if (format == ActivationFormat::f32) return 0;
  if (format == ActivationFormat::f16) return std::max(rows_bytes(rows, width), halves_places(rows, width).bytes);
  return quantized_places(rows, width).bytes;
}

uint32_t groups_of(uint64_t items, uint32_t per_group) { return static_cast<uint32_t>(ceil_div(items, per_group)); }

namespace {

Result<NormArgs> norm_args(const BindContext& c, const NormStage& n) {
  NormArgs a{};
  a.x = n.x;
  a.y = n.out;
  KL_ASSIGN(a.gain, c.vector(n.gain));
  KL_ASSIGN(a.bias, c.vector(n.bias));
  a.residual = n.residual;
  a.selected = n.selects ? c.step(c.params().output_rows()) : nullptr;
  a.rows = n.rows;
  a.width = n.width;
  a.eps = n.eps;
  a.layer = n.layer;
  return a;
}

QuantizedRows quantized_rows(const BindContext& c, uint64_t offset, uint64_t rows, uint32_t k) {
  std::byte* to = c.scratch(offset);
  const QuantizedPlaces p = quantized_places(rows, k);
  return {reinterpret_cast<int8_t*>(to), reinterpret_cast<float*>(to + p.scale), reinterpret_cast<float*>(to + p.sum),
          groups_of(k, kTileColumns)};
}
LinearInput input_of(const QuantizedRows& rows) {
  LinearInput in;
  in.q = {rows.codes, rows.scale, rows.sum};
  return in;
}

}  // namespace

Status add_norm(const BindContext& c, uint32_t stage, const NormStage& n, Launches& out) {
  KL_ASSIGN(const NormArgs a, norm_args(c, n));
  Launch l = make_launch("norm", a, kNormThreads);
  l.grid[0] = n.parts;
  l.grid[1] = n.most_rows;
  l.stage = stage;
  out.push_back(std::move(l));
  return {};
}

Result<LinearInput> add_norm_quantize(const BindContext& c, uint32_t stage, const NormStage& n, uint64_t offset, Launches& out) {
  NormQuantizeArgs a{};
  KL_ASSIGN(a.norm, norm_args(c, n));
  a.to = quantized_rows(c, offset, n.most_rows, n.width);
  Launch l = make_launch("norm__quantize", a, kNormThreads);
  l.grid[1] = n.most_rows;
  l.stage = stage;
  out.push_back(std::move(l));
  return input_of(a.to);
}

LinearInput add_round(const BindContext& c, uint32_t stage, const float* x, uint64_t offset, const RowCount& rows, uint32_t most_rows,
                      uint32_t k, Launches& out) {
  LinearInput in;
  Launch l;
  if (c.planned.support.activations == ActivationFormat::f16 && best_path(c.gpu, ActivationFormat::f16, most_rows) != LinearPath::row) {
    std::byte* const to = c.scratch(offset);
    const uint32_t tiles = groups_of(k, kTileColumns);
    const RoundHalvesArgs a{x,    reinterpret_cast<uint16_t*>(to), reinterpret_cast<float*>(to + halves_places(most_rows, k).sum), rows, k,
                            tiles};
    in.h = {a.values, a.sum};
    l = make_launch("quantize__halves", a, kQuantizeThreads);
    l.grid[0] = groups_of(uint64_t{tiles} * 16, kQuantizeThreads);
  } else if (c.planned.support.activations == ActivationFormat::f16) {
    RoundHalfArgs a{x, reinterpret_cast<float*>(c.scratch(offset)), rows, k};
    in.x = a.y;
    l = make_launch("quantize__half", a, kQuantizeThreads);
    l.grid[0] = groups_of(k, kQuantizeThreads);
  } else {
    const QuantizeArgs a{x, quantized_rows(c, offset, most_rows, k), rows, k};
    in = input_of(a.to);
    l = make_launch("quantize", a, kQuantizeThreads);
    l.grid[0] = groups_of(uint64_t{a.to.tiles} * 16, kQuantizeThreads);
  }
  l.grid[1] = most_rows;
  l.stage = stage;
  out.push_back(std::move(l));
  return in;
}

Result<RowInputs> row_inputs(const BindContext& c, LinearPath path, const LinearInput& in, ActivationFormat inputs, WeightId gain,
                             float eps, const Matrix& w, uint32_t most_rows) {
  RowInputs r{};
  r.q = in.q;
  r.x = in.x;
  KL_ASSIGN(r.gain, c.vector(gain));
  r.eps = eps;
  r.k = w.k;
  r.tiles = w.tiles;
  const bool eight = path == LinearPath::eight;
  r.rows = eight ? kLinearRowRows : std::min(most_rows, kLinearRowRows);  // tensor cores multiply 8, there or not
  r.chunk = inputs == ActivationFormat::q8 ? row_chunk(w.tiles, r.rows, eight ? kEightInputTiles : kRowInputTiles) : 0;
  return r;
}

// Two panels side by side share their inputs, so that these are prepared half as often; one where more than a quarter of the multiprocessors would else have no block. A guess:
// there was no card.
uint32_t row_threads(const Gpu& gpu, LinearPath path, uint32_t panels) {
  const bool two = path == LinearPath::eight && 2 * panels >= 3 * static_cast<uint32_t>(gpu.multiprocessors);
  return kLinearRowThreads * (two ? kLinearEightPanels : 1);
}

Status add_linear(const BindContext& c, uint32_t stage, const LinearStage& l, Launches& out) {
  LinearArgs a{};
  a.x = l.in.x;
  a.q = l.in.q;
  KL_ASSIGN(a.w, c.matrix(l.w));
  KL_ASSIGN(a.up, c.matrix(l.up));
  a.y = l.out;
  KL_ASSIGN(a.bias, c.vector(l.bias));
  a.residual = l.residual;
  a.rows = l.rows;
  a.activation = l.activation;
  a.h = l.in.h;
  const ActivationFormat inputs = a.q.codes != nullptr || l.rounds ? ActivationFormat::q8
                                  : a.x != nullptr                 ? ActivationFormat::f32
                                                                   : ActivationFormat::f16;
  const LinearPath path = best_path(c.gpu, inputs, l.most_rows);
  const std::string kernel = std::string("linear_") + name(path) + "_" + name(inputs) + "__" + name(c.info(l.w).format);
  Launch launch;
  if (path == LinearPath::row || path == LinearPath::eight) {
    KL_ASSIGN(const RowInputs in, row_inputs(c, path, l.in, inputs, l.gain, l.eps, a.w, l.most_rows));
    const uint32_t panels = groups_of(a.w.n, kPanelRows), threads = row_threads(c.gpu, path, panels);
    RowNorm after{};
    if (l.out_gain.valid()) {
      KL_ASSIGN(after.gain, c.vector(l.out_gain));
      KL_ASSIGN(after.counter, c.counters(1));
      std::swap(after.residual, a.residual);  // added behind the norm
      after.eps = l.eps;
    }
    launch = make_launch(kernel, LinearRowArgs{a, in, after}, threads);
    launch.shared_bytes = row_chains_bytes(threads) + row_chunk_bytes(in);
    launch.grid[0] = groups_of(panels, threads / kLinearRowThreads);
    launch.grid[1] = groups_of(l.most_rows, kLinearRowRows);
  } else if (path == LinearPath::few) {
    launch = make_launch(kernel, a, kLinearFewThreads);
    launch.grid[0] = groups_of(a.w.n, kPanelRows);
    launch.grid[1] = groups_of(l.most_rows, kLinearFewRows);
  } else if (inputs == ActivationFormat::f32) {
    launch = make_launch(kernel, a, kLinearTileThreads);
    launch.grid[0] = groups_of(l.most_rows, kLinearTileRows);
    launch.grid[1] = groups_of(a.w.n, kLinearTileOutputs);
  } else {
    launch = make_launch(kernel, a, kLinearManyThreads);
    launch.grid[0] = groups_of(l.most_rows, kLinearManyRows);
    launch.grid[1] = groups_of(a.w.n, a.up.data != nullptr ? kLinearManyOutputs / 2 : kLinearManyOutputs);
  }
  launch.stage = stage;
  out.push_back(std::move(launch));
  return {};
}

}  // namespace kl::cuda
