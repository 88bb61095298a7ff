// Launches between the inputs of q, k, v and attention: rope, the cache write, and all of it in one.
#include <algorithm>

#include "cuda/kernels/rope.h"
#include "cuda/ops/stages.h"

namespace kl::cuda {

namespace {

Result<DeviceRope> rope_tables(const BindContext& c, const RopeSpec& rope) {
  std::vector<float> factors;
  if (rope.factors.valid()) {
    factors.resize(rope.dims / 2);
    KL_TRY(c.read(rope.factors, std::as_writable_bytes(std::span(factors))));
  }
  return c.ropes.get(rope, factors);
}

}  // namespace

Status add_rope(const BindContext& c, uint32_t stage, const RopeSpec& rope, uint32_t heads, uint32_t head_size, const float* x, float* y,
                Launches& out) {
  KL_ASSIGN(const DeviceRope table, rope_tables(c, rope));
  RopeArgs a{};
  a.x = x;
  a.y = y;
  a.positions = c.step(c.params().positions());
  a.turn = table.turns;
  a.component = table.components;
  a.rows = {c.step(&c.params().header().rows), 1};
  a.heads = heads;
  a.head_size = head_size;
  a.pairs = rope.dims / 2;
  a.neighbours = rope.style == RopeStyle::neighbours;
  Launch l = make_launch("rope", a, kRopeThreads);
  l.grid[0] = groups_of(uint64_t{heads} * head_size / 2, kRopeThreads);
  l.grid[1] = c.plan.config.rows;
  l.stage = stage;
  out.push_back(std::move(l));
  return {};
}

KvPages kv_pages(const BindContext& c, KvRef cache) {
  const KvPageLayout l = c.kv_layout(cache);
  const KvGroupInfo& g = c.plan.program.kv_groups[cache.group];
  const StepParams p = c.params();
  const auto at = [](size_t bytes) { return static_cast<uint32_t>(bytes); };
  return {reinterpret_cast<uint8_t*>(c.kv_layer(cache)),
          c.step(p.block_table(cache.group, 0)),
          c.step(p.row_sequence()),
          c.step(p.row_slot()),
          c.plan.config.limits.pages,
          at(page_bytes({c.plan.config.kv, g.head_size, g.heads})),
          at(l.head_bytes),
          at(l.v_scales),
          at(l.k),
          at(l.k_bits),
          at(l.v)};
}

namespace {

Result<KvWriteArgs> kv_write_args(const BindContext& c, const KvWriteStage& w) {
  KvWriteArgs a{};
  a.q = w.q;
  a.k = w.k;
  a.v = w.v;
  a.q_out = w.q_out;
  a.pages = kv_pages(c, w.cache);
  KL_ASSIGN(a.q_gain, c.vector(w.q_gain));
  KL_ASSIGN(a.k_gain, c.vector(w.k_gain));
  if (w.rope != nullptr && w.rope->enabled) {
    KL_ASSIGN(const DeviceRope table, rope_tables(c, *w.rope));
    a.turn = table.turns;
    a.component = table.components;
    a.pairs = w.rope->dims / 2;
    a.neighbours = w.rope->style == RopeStyle::neighbours;
  }
  a.positions = c.step(c.params().positions());
  a.rows = {c.step(&c.params().header().rows), 1};
  a.heads = w.heads;
  a.kv_heads = w.kv_heads;
  a.head_size = w.head_size;
  a.eps = w.eps;
  return a;
}

}  // namespace

Status add_kv_write(const BindContext& c, uint32_t stage, const KvWriteStage& w, Launches& out) {
  KL_ASSIGN(const KvWriteArgs a, kv_write_args(c, w));
  Launch l = make_launch(std::string("kv_write__") + name(c.plan.config.kv), a, kKvWriteThreads);
  l.grid[0] = groups_of(w.heads + 2 * w.kv_heads, kKvWriteWarps);
  l.grid[1] = c.plan.config.rows;
  l.stage = stage;
  out.push_back(std::move(l));
  return {};
}

Status add_qkv(const BindContext& c, uint32_t stage, const QkvStage& q, Launches& out) {
  QkvRowArgs a{};
  uint32_t panels = 0;
  for (uint32_t i = 0; i < 3; ++i) {
    QkvPart& p = a.parts[i];
    KL_ASSIGN(p.w, c.matrix(q.parts[i].w));
    KL_ASSIGN(p.bias, c.vector(q.parts[i].bias));
    p.y = q.parts[i].out;
    p.format = c.info(q.parts[i].w).format;
    panels += groups_of(p.w.n, kPanelRows);
  }
  LinearInput in;
  in.x = q.x;
  const ActivationFormat inputs = q.rounds ? ActivationFormat::q8 : ActivationFormat::f32;
  const LinearPath path = best_path(c.gpu, inputs, q.most_rows);
  const uint32_t threads = row_threads(c.gpu, path, panels);
  KL_ASSIGN(a.in, row_inputs(c, path, in, inputs, q.gain, q.eps, a.parts[0].w, q.most_rows));
  KL_ASSIGN(a.heads, kv_write_args(c, q.heads));
  KL_ASSIGN(a.counters, c.counters(q.heads.heads + 2 * q.heads.kv_heads));
  a.kv = c.plan.config.kv;
  uint32_t blocks = 0;
  for (QkvPart& p : a.parts) {
    p.first_block = blocks;
    blocks += groups_of(groups_of(p.w.n, kPanelRows), threads / kLinearRowThreads);
  }
  Launch l = make_launch(std::string("qkv_row__") + (path == LinearPath::eight ? name(path) : name(inputs)), a, threads);
  l.grid[0] = blocks;
  // First the inputs, then a head of each row.
  l.shared_bytes = row_chains_bytes(threads) + std::max<uint32_t>(row_chunk_bytes(a.in), q.most_rows * q.heads.head_size * sizeof(float));
  l.stage = stage;
  out.push_back(std::move(l));
  return {};
}

}  // namespace kl::cuda
