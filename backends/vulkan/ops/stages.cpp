#include "vulkan/ops/stages.h"

#include <algorithm>

#include "core/checked.h"

namespace kl::vulkan {
namespace {

constexpr uint32_t kRowKernelRows = 4;  // buckets up to this one run linears row by row, larger ones in tiles of 32 rows
constexpr uint32_t kTile = 32;          // linear_tile.comp: rows and outputs of a workgroup
constexpr uint32_t kPartials = 2048;    // linear_row.comp: block sums a workgroup holds
constexpr uint32_t kThreads = 64;       // of most shaders
constexpr uint32_t kMaxGrid = 65535;    // every device has as many

bool quantized(Format f) { return f != Format::f32 && f != Format::f16 && f != Format::bf16; }
uint32_t groups_of(uint32_t items) { return static_cast<uint32_t>(ceil_div(items, kThreads)); }

// Vectors of 16 bytes of a row of x: floats, or what round.comp makes of them: per block of 32 eight words of codes and two of scales.
uint32_t input_vectors(Product product, uint32_t k) {
  return product == Product::plain ? k / 4 : static_cast<uint32_t>(ceil_div(uint64_t{k} / 32 * 10, 4));
}

// Which shader takes a bucket of `rows` rows, and how many rows and outputs a workgroup of it computes.
struct LinearShader {
  Shader shader;
  uint32_t rows, outputs;
};
LinearShader linear_shader(Product product, uint32_t rows, uint32_t blocks, uint32_t n);

// Outputs of a linear_row workgroup: the number that leaves fewest of its threads without work in the last round. It changes no bits.
uint32_t group_outputs(uint32_t blocks, uint32_t n) {
  uint32_t best = 4;
  double most = 0;
  for (uint32_t outputs = 4; outputs <= 64; outputs *= 2) {
    if (ceil_div(n, outputs) > kMaxGrid) continue;
    const uint32_t items = outputs / 4 * std::min(blocks, kPartials / outputs);
    const double busy = static_cast<double>(items) / static_cast<double>(round_up(items, kThreads));
    if (busy <= most + 0.05) continue;
    most = busy;
    best = outputs;
  }
  return best;
}

LinearShader linear_shader(Product product, uint32_t rows, uint32_t blocks, uint32_t n) {
  if (product == Product::matrix) return {Shader::linear_matrix, 32, 64};
  const bool dot = product == Product::dot;
  if (rows <= kRowKernelRows) return {dot ? Shader::linear_row_dot : Shader::linear_row, 1, group_outputs(blocks, n)};
  return {dot ? Shader::linear_tile_dot : Shader::linear_tile, kTile, kTile};
}

}  // namespace

std::string product_refusal(const SupportContext& c, Product product, WeightId w, uint64_t rows) {
  if (product == Product::plain) return {};
  if ((c.features & feature::dot) == 0) return "the device has no integer dot products";
  if (product == Product::matrix && (c.features & (feature::matrix | feature::emulation)) == 0)
    return "the device has no int8 matrices of a size that fits";
  if (!quantized(c.info(w).format)) return format("%s weights are not integers", kl::name(c.info(w).format));
  if (c.config.activations != ActivationFormat::q8) return "inputs are not rounded to 8 bits";
  if (product == Product::dot) return {};
  if (c.info(w).format == Format::q6_k) return "q6_k has a scale for 16 weights";
  if (rows <= kRowKernelRows) return format("%u rows at most: read once, row by row", static_cast<uint32_t>(rows));
  return {};
}

void use_matrix(const SupportContext& c, Support& s, WeightId w) { s.weights.push_back({w, layout_name(c.info(w).format)}); }
void use_vector(Support& s, WeightId w) {
  if (w.valid()) s.weights.push_back({w, kVector});
}

std::string matrix_refusal(const SupportContext& c, WeightId w) {
  const WeightInfo& i = c.info(w);
  if (i.k % 4 != 0) return format("K = %u is not a multiple of 4", i.k);
  if (i.k % kl::info(i.format).block_elements != 0) return format("K = %u is not a multiple of %u", i.k, kl::info(i.format).block_elements);
  const uint64_t row = uint64_t{row_layout(i.format, i.k).row_words} * 4;
  if (row * 64 > c.max_range) return format("K = %u: 64 rows of weights exceed a binding", i.k);
  return {};
}

ActivationFormat activations_for(const SupportContext& c, WeightId w) {
  return quantized(c.info(w).format) ? c.config.activations : ActivationFormat::f32;
}

std::string kv_refusal(const SupportContext& c, KvRef ref, uint32_t heads, uint32_t head_size) {
  const KvPageShape shape{c.config.kv, head_size, heads};
  if (!valid(shape)) return format("head size %u is not a multiple of 8 from 8 to 1024", head_size);
  const uint64_t bytes = c.config.kv_pages[ref.group] * page_bytes(shape);
  if (bytes <= c.max_range) return {};
  return format("a layer's cache takes %s bytes, the device binds at most %s: a smaller context fits", with_commas(bytes).c_str(),
                with_commas(c.max_range).c_str());
}

uint64_t rows_bytes(uint64_t rows, uint64_t width) { return round_up(rows * width * sizeof(float), kBufferAlignment); }

Status add_norm(const BindContext& c, uint32_t stage, const NormStage& n, Dispatches& out) {
  KL_ASSIGN(const BufferRange gain, c.weight(n.gain));
  KL_ASSIGN(const BufferRange bias, c.weight(n.bias));
  const uint32_t flags =
      (n.layer ? 1u : 0u) | (n.gain.valid() ? 2u : 0u) | (n.bias.valid() ? 4u : 0u) | (n.has_residual ? 8u : 0u) | (n.selects ? 16u : 0u);
  Dispatch d;
  d.variant = {Shader::norm};
  d.buffers = {n.x, n.out, gain, bias, n.has_residual ? n.residual : c.step()};
  d.push = {n.rows.rows_of, n.rows.pool, n.width, n.parts, flags, bits(n.eps), c.word(c.params().output_rows())};
  d.grid[0] = n.parts;
  d.grid[1] = n.rows.most;
  d.stage = stage;
  out.push_back(std::move(d));
  return {};
}

void add_round(const BindContext& c, uint32_t stage, Product product, const BufferRange& x, const BufferRange& y, const RowClass& rows,
               uint32_t k, Dispatches& out) {
  constexpr uint32_t kToFloat = 0, kToHalf = 1, kToDot = 2;  // round.comp
  const uint32_t to = product != Product::plain ? kToDot : c.planned.support.activations == ActivationFormat::f16 ? kToHalf : kToFloat;
  Dispatch d;
  d.variant = {Shader::round};
  d.buffers = {x, y};
  d.push = {rows.rows_of, rows.pool, k, to, 4 * input_vectors(product, k)};
  d.grid[0] = groups_of(static_cast<uint32_t>(ceil_div(k, 32)));
  d.grid[1] = rows.most;
  d.stage = stage;
  out.push_back(std::move(d));
}

Status add_linear(const BindContext& c, uint32_t stage, const LinearStage& l, Dispatches& out) {
  const WeightInfo& w = c.info(l.w);
  const RowLayout layout = row_layout(w.format, w.k);
  const uint64_t row_bytes = uint64_t{layout.row_words} * 4;
  KL_ASSIGN(const BufferRange matrix, c.weight(l.w));
  KL_ASSIGN(const BufferRange up, c.weight(l.up));
  KL_ASSIGN(const BufferRange bias, c.weight(l.bias));
  const bool pair = l.up.valid();
  // A matrix larger than a binding goes in parts of whole workgroups.
  const auto part = static_cast<uint32_t>(std::min<uint64_t>(w.n, c.max_range / row_bytes / 64 * 64));
  for (uint32_t first = 0; first < w.n; first += part) {
    const uint32_t count = std::min(part, w.n - first);
    const LinearShader by = linear_shader(l.product, l.rows.most, layout.blocks, count);
    Dispatch d;
    d.variant = {by.shader, {static_cast<uint32_t>(w.format), pair ? 1u : 0u}};
    const auto cut = [&](const BufferRange& whole) {
      return BufferRange{whole.buffer, whole.offset + first * row_bytes, count * row_bytes};
    };
    d.buffers = {l.x, cut(matrix), l.out, bias, l.has_residual ? l.residual : c.step(), pair ? cut(up) : c.step()};
    d.push = {layout.high_at,
              layout.scale_at,
              l.rows.rows_of,
              l.rows.pool,
              input_vectors(l.product, w.k),
              layout.blocks,
              layout.row_words / 4,
              first,
              count,
              w.n,
              by.outputs,
              (l.bias.valid() ? 1u : 0u) | (l.has_residual ? 2u : 0u),
              static_cast<uint32_t>(l.activation)};
    d.grid[0] = static_cast<uint32_t>(ceil_div(count, by.outputs));
    d.grid[1] = static_cast<uint32_t>(ceil_div(l.rows.most, by.rows));
    d.stage = stage;
    out.push_back(std::move(d));
  }
  return {};
}

Status add_rope(const BindContext& c, uint32_t stage, const RopeSpec& rope, uint32_t heads, uint32_t head_size, const BufferRange& x,
                const BufferRange& y, Dispatches& out) {
  std::vector<float> factors;
  if (rope.factors.valid()) {
    factors.resize(rope.dims / 2);
    KL_TRY(c.read(rope.factors, std::as_writable_bytes(std::span(factors))));
  }
  KL_ASSIGN(const RopeTable table, c.ropes.get(rope, factors));
  Dispatch d;
  d.variant = {Shader::rope};
  d.buffers = {x,
               y,
               {table.memory->buffer(), 0, table.components_offset},
               {table.memory->buffer(), table.components_offset, table.memory->bytes() - table.components_offset}};
  d.push = {c.word(c.params().positions()), heads, head_size, rope.dims / 2, rope.style == RopeStyle::neighbours ? 1u : 0u};
  d.grid[0] = groups_of(heads * head_size / 2);
  d.grid[1] = c.plan.config.rows;
  d.stage = stage;
  out.push_back(std::move(d));
  return {};
}

std::vector<uint32_t> kv_push(const BindContext& c, KvRef cache) {
  const KvPageLayout l = c.kv_layout(cache);
  const KvGroupInfo& g = c.plan.program.kv_groups[cache.group];
  const StepParams p = c.params();
  const auto words = [](size_t bytes) { return static_cast<uint32_t>(bytes / 4); };
  return {words(l.v_scales),
          words(l.k),
          words(l.k_bits),
          words(l.v),
          words(l.head_bytes),
          words(page_bytes({c.plan.config.kv, g.head_size, g.heads})),
          c.word(p.block_table(cache.group, 0)),
          c.plan.config.limits.pages,
          c.word(p.row_sequence()),
          c.word(p.row_slot())};
}

void add_kv_write(const BindContext& c, uint32_t stage, KvRef cache, uint32_t heads, uint32_t head_size, const BufferRange& k,
                  const BufferRange& v, Dispatches& out) {
  Dispatch d;
  d.variant = {Shader::kv_write, {static_cast<uint32_t>(c.plan.config.kv), 0}};
  d.buffers = {k, v, c.kv_layer(cache)};
  d.push = kv_push(c, cache);
  d.push.insert(d.push.end(), {heads, head_size});
  d.grid[0] = heads;
  d.grid[1] = c.plan.config.rows;
  d.grid[2] = 2;
  d.stage = stage;
  out.push_back(std::move(d));
}

}  // namespace kl::vulkan
