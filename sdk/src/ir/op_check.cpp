#include "ir/program.h"

namespace kl {
namespace {

// Collects the first violated expectation of an op.
class Checker {
 public:
  Checker(const Program& program, const Op& op) : p_(program), op_(op) {}

  Status status;

  void value(const char* operand, Value v, uint64_t width, std::optional<Rows> rows = std::nullopt) {
    if (!status.ok()) return;
    if (v.id >= p_.values.size()) {
      fail(format("%s is not a value of the program", operand));
    } else if (p_.info(v).width != width) {
      fail(format("%s should have width %llu but has %u", operand, static_cast<unsigned long long>(width), p_.info(v).width));
    } else if (rows && p_.info(v).rows != *rows) {
      fail(format("%s has rows of the wrong class", operand));
    }
  }
  void matrix(const char* operand, WeightId w, uint64_t n, uint64_t k) {
    if (!status.ok()) return;
    if (w.id >= p_.weights.size()) {
      fail(format("%s is not a weight of the program", operand));
    } else if (const WeightInfo& i = p_.info(w); i.n != n || i.k != k) {
      fail(format("%s \"%s\" should be [%llu %llu] but is [%u %u]", operand, i.name.c_str(), static_cast<unsigned long long>(n),
                  static_cast<unsigned long long>(k), i.n, i.k));
    }
  }
  void vector(const char* operand, WeightId w, uint64_t k) {
    if (w.valid()) matrix(operand, w, 1, k);
  }
  void need(bool holds, const char* what) {
    if (status.ok() && !holds) fail(what);
  }
  void cache(KvRef ref, uint32_t heads, uint32_t head_size) {
    if (!status.ok()) return;
    if (ref.group >= p_.kv_groups.size() || ref.layer >= p_.kv_groups[ref.group].layers)
      return fail("names a cache the program does not have");
    const KvGroupInfo& g = p_.kv_groups[ref.group];
    if (g.heads != heads || g.head_size != head_size) fail("does not have its cache group's head shape");
  }
  uint32_t width(Value v) const { return v.id < p_.values.size() ? p_.info(v).width : 0; }
  Rows rows(Value v) const { return v.id < p_.values.size() ? p_.info(v).rows : Rows::step; }
  uint32_t n(WeightId w) const { return w.id < p_.weights.size() ? p_.info(w).n : 0; }
  uint32_t k(WeightId w) const { return w.id < p_.weights.size() ? p_.info(w).k : 0; }

  void operator()(const GatherRows& o) {
    matrix("table", o.table, n(o.table), k(o.table));
    value("out", o.out, k(o.table), Rows::step);
  }
  void operator()(const Patchify& o) {
    need(o.size > 0 && o.size <= 1024, "a patch has 1 to 1024 pixels a side");
    for (const float d : o.deviation) need(d > 0, "deviations must be positive");
    value("out", o.out, uint64_t{3} * o.size * o.size, Rows::step);
  }
  void operator()(const DenseAttention& o) {
    const uint64_t hd = uint64_t{o.heads} * o.head_size;
    need(o.heads > 0 && o.head_size > 0, "heads and head size must be positive");
    value("q", o.q, hd, Rows::step);
    value("k", o.k, hd, Rows::step);
    value("v", o.v, hd, Rows::step);
    value("out", o.out, hd, Rows::step);
  }
  void operator()(const Pool& o) {
    need(o.count > 0 && o.count == p_.pool, "pools another number of rows than the program");
    value("x", o.x, width(o.x), Rows::step);
    value("out", o.out, o.kind == PoolKind::concatenate ? uint64_t{o.count} * width(o.x) : width(o.x), Rows::pooled);
  }
  void operator()(const Norm& o) {
    if (o.parts == 0 || width(o.x) % o.parts != 0) return fail("row does not divide into the norm's parts");
    value("out", o.out, width(o.x), rows(o.x));
    matrix("gain", o.gain, 1, width(o.x) / o.parts);
    vector("bias", o.bias, width(o.x) / o.parts);
  }
  void operator()(const Linear& o) {
    matrix("w", o.w, n(o.w), width(o.x));
    value("out", o.out, n(o.w), rows(o.x));
    vector("bias", o.bias, n(o.w));
  }
  void rope(const RopeSpec& r, uint32_t head_size) {
    if (!r.enabled) return;
    need(r.dims > 0 && r.dims % 2 == 0 && r.dims <= head_size, "rope dimensions must be even and at most the head size");
    need(r.base > 0 && r.scale > 0, "rope base and scale must be positive");
    need(!r.section_frequencies || r.sections[0] + r.sections[1] + r.sections[2] == r.dims / 2, "rope sections must add up to the pairs");
    vector("rope factors", r.factors, r.dims / 2);
  }
  void operator()(const Rope& o) {
    value("x", o.x, uint64_t{o.heads} * o.head_size, Rows::step);
    value("out", o.out, uint64_t{o.heads} * o.head_size, Rows::step);
    rope(o.rope, o.head_size);
  }
  void operator()(const KvWrite& o) {
    value("k", o.k, uint64_t{o.heads} * o.head_size, Rows::step);
    value("v", o.v, uint64_t{o.heads} * o.head_size, Rows::step);
    cache(o.cache, o.heads, o.head_size);
  }
  void operator()(const Attention& o) {
    need(o.kv_heads > 0 && o.heads % o.kv_heads == 0, "query heads are not a multiple of KV heads");
    value("q", o.q, uint64_t{o.heads} * o.head_size, Rows::step);
    value("out", o.out, uint64_t{o.heads} * o.head_size, Rows::step);
    vector("sinks", o.sinks, o.heads);
    cache(o.cache, o.kv_heads, o.head_size);
  }
  void operator()(const Activate& o) {
    value("gate", o.gate, width(o.gate));
    if (o.up.valid()) value("up", o.up, width(o.gate), rows(o.gate));
    value("out", o.out, width(o.gate), rows(o.gate));
  }
  void operator()(const Add& o) {
    value("a", o.a, width(o.a));
    value("b", o.b, width(o.a), rows(o.a));
    value("out", o.out, width(o.a), rows(o.a));
  }
  void operator()(const SelectRows& o) {
    value("x", o.x, width(o.x), Rows::step);
    value("out", o.out, width(o.x), Rows::outputs);
  }
  void operator()(const Sample& o) {
    value("logits", o.logits, width(o.logits));
    value("out", o.out, 1, rows(o.logits));
  }
  void operator()(const NormLinear& o) {
    matrix("gain", o.gain, 1, width(o.x));
    matrix("w", o.w, n(o.w), width(o.x));
    vector("bias", o.bias, n(o.w));
    value("out", o.out, n(o.w), rows(o.x));
  }
  void operator()(const NormQkvRope& o) {
    const uint64_t hd = uint64_t{o.heads} * o.head_size;
    const uint64_t gd = uint64_t{o.kv_heads} * o.head_size;
    need(o.kv_heads > 0 && o.heads % o.kv_heads == 0, "query heads are not a multiple of KV heads");
    matrix("gain", o.gain, 1, width(o.x));
    matrix("wq", o.wq, hd, width(o.x));
    matrix("wk", o.wk, gd, width(o.x));
    matrix("wv", o.wv, gd, width(o.x));
    vector("bq", o.bq, hd);
    vector("bk", o.bk, gd);
    vector("bv", o.bv, gd);
    vector("q_gain", o.q_gain, o.head_size);
    vector("k_gain", o.k_gain, o.head_size);
    value("x", o.x, width(o.x), Rows::step);
    value("out", o.out, hd, Rows::step);
    rope(o.rope, o.head_size);
    cache(o.cache, o.kv_heads, o.head_size);
  }
  void operator()(const LinearResidual& o) {
    matrix("w", o.w, n(o.w), width(o.x));
    vector("bias", o.bias, n(o.w));
    value("residual", o.residual, n(o.w), rows(o.x));
    value("out", o.out, n(o.w), rows(o.x));
  }
  void operator()(const NormAdd& o) {
    matrix("gain", o.gain, 1, width(o.x));
    value("residual", o.residual, width(o.x), rows(o.x));
    value("out", o.out, width(o.x), rows(o.x));
  }
  void operator()(const LinearNormAdd& o) {
    matrix("w", o.w, n(o.w), width(o.x));
    matrix("gain", o.gain, 1, n(o.w));
    value("residual", o.residual, n(o.w), rows(o.x));
    value("out", o.out, n(o.w), rows(o.x));
  }
  void operator()(const NormGateUp& o) {
    matrix("gain", o.gain, 1, width(o.x));
    matrix("gate", o.gate, n(o.gate), width(o.x));
    matrix("up", o.up, n(o.gate), width(o.x));
    value("out", o.out, n(o.gate), rows(o.x));
  }
  void operator()(const SelectNormHead& o) {
    matrix("gain", o.gain, 1, width(o.x));
    matrix("head", o.head, n(o.head), width(o.x));
    value("x", o.x, width(o.x), Rows::step);
    value("out", o.out, n(o.head), Rows::outputs);
  }

 private:
  void fail(const std::string& what) { status = error(Code::internal, "op %s: %s", name(op_), what.c_str()); }
  const Program& p_;
  const Op& op_;
};

}  // namespace

Status check(const Program& program, const Op& op) {
  Checker checker(program, op);
  std::visit([&](const auto& each) { checker(each); }, op);
  return checker.status;
}

Status check(const Program& program) {
  std::vector<bool> made(program.values.size(), false);
  for (const Op& op : program.ops) {
    for (const Value v : inputs(op)) {
      if (v.id >= made.size() || !made[v.id]) return error(Code::internal, "op %s reads a value no earlier op makes", name(op));
    }
    KL_TRY(check(program, op));
    for (const Value v : outputs(op)) {
      if (made[v.id]) return error(Code::internal, "op %s makes a value a second time", name(op));
      made[v.id] = true;
    }
  }
  return {};
}

}  // namespace kl
