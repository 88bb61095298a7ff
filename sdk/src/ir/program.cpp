#include "ir/program.h"

#include <algorithm>

namespace kl {
namespace {

template <class... F>
struct Visitor : F... {
  using F::operator()...;
};
template <class... F>
Visitor(F...) -> Visitor<F...>;

template <class Id>
std::vector<Id> present(std::initializer_list<Id> ids) {
  std::vector<Id> out;
  for (const Id id : ids) {
    if (id.valid()) out.push_back(id);
  }
  return out;
}

}  // namespace

std::vector<Value> inputs(const Op& op) {
  using Values = std::vector<Value>;
  return std::visit(Visitor{
                        [](const GatherRows&) { return Values{}; },
                        [](const Patchify&) { return Values{}; },
                        [](const KvWrite& o) {
                          return present({o.k, o.v});
                        },
                        [](const Attention& o) { return present({o.q}); },
                        [](const DenseAttention& o) {
                          return present({o.q, o.k, o.v});
                        },
                        [](const Activate& o) {
                          return present({o.gate, o.up});
                        },
                        [](const Add& o) {
                          return present({o.a, o.b});
                        },
                        [](const Sample& o) { return present({o.logits}); },
                        [](const LinearResidual& o) {
                          return present({o.x, o.residual});
                        },
                        [](const NormAdd& o) {
                          return present({o.x, o.residual});
                        },
                        [](const LinearNormAdd& o) {
                          return present({o.x, o.residual});
                        },
                        [](const auto& o) { return present({o.x}); },
                    },
                    op);
}

std::vector<Value> outputs(const Op& op) {
  return std::visit(
      [](const auto& o) -> std::vector<Value> {
        if constexpr (requires { o.out; }) {
          return {o.out};
        } else {
          return {};
        }
      },
      op);
}

std::vector<WeightId> weights(const Op& op) {
  using Ids = std::vector<WeightId>;
  return std::visit(Visitor{
                        [](const GatherRows& o) { return present({o.table}); },
                        [](const Norm& o) {
                          return present({o.gain, o.bias});
                        },
                        [](const Linear& o) {
                          return present({o.w, o.bias});
                        },
                        [](const Rope& o) { return present({o.rope.factors}); },
                        [](const Attention& o) { return present({o.sinks}); },
                        [](const NormLinear& o) {
                          return present({o.gain, o.w, o.bias});
                        },
                        [](const NormQkvRope& o) {
                          return present({o.gain, o.wq, o.wk, o.wv, o.bq, o.bk, o.bv, o.q_gain, o.k_gain, o.rope.factors});
                        },
                        [](const LinearResidual& o) {
                          return present({o.w, o.bias});
                        },
                        [](const NormAdd& o) { return present({o.gain}); },
                        [](const LinearNormAdd& o) {
                          return present({o.w, o.gain});
                        },
                        [](const NormGateUp& o) {
                          return present({o.gain, o.gate, o.up});
                        },
                        [](const SelectNormHead& o) {
                          return present({o.gain, o.head});
                        },
                        [](const auto&) { return Ids{}; },
                    },
                    op);
}

namespace {

std::string value_text(const Program& p, Value v) {
  if (!v.valid()) return "-";
  const ValueInfo& i = p.info(v);
  return format("%%%u[%s %u]", v.id, i.rows == Rows::step ? "T" : i.rows == Rows::outputs ? "O" : "U", i.width);
}

std::string weight_text(const Program& p, WeightId w) {
  const WeightInfo& i = p.info(w);
  return i.n == 1 ? format("%s[%u]", i.name.c_str(), i.k) : format("%s:%s[%u %u]", i.name.c_str(), name(i.format), i.n, i.k);
}

std::string rope_text(const RopeSpec& r) {
  if (!r.enabled) return " rope=none";
  std::string text =
      format(" rope=%s dims=%u base=%g", r.style == RopeStyle::neighbours ? "neighbours" : "halves", r.dims, static_cast<double>(r.base));
  if (r.scale != 1.0f) text += format(" scale=%g", static_cast<double>(r.scale));
  if (r.sections[0] + r.sections[1] + r.sections[2] != 0) {
    text += format(" sections=%u,%u,%u%s", r.sections[0], r.sections[1], r.sections[2], r.section_frequencies ? " each from 0" : "");
  }
  return text;
}

std::string constants(const Op& op) {
  return std::visit(
      Visitor{
          [](const GatherRows& o) {
            constexpr const char* kIndex[] = {"", " by position 0", " by position 1", " by position 2"};
            return (o.scale == 1.0f ? std::string() : format(" scale=%g", static_cast<double>(o.scale))) + (o.features ? " features" : "") +
                   kIndex[static_cast<size_t>(o.index)];
          },
          [](const Patchify& o) { return format(" size=%u", o.size); },
          [](const DenseAttention& o) {
            return format(" H=%u D=%u scale=%g segmentation=%u", o.heads, o.head_size, static_cast<double>(o.scale), o.segmentation);
          },
          [](const Pool& o) { return format(" %s count=%u", o.kind == PoolKind::mean ? "mean" : "concatenate", o.count); },
          [](const Norm& o) {
            return format(" %s parts=%u eps=%g", o.kind == NormKind::rms ? "rms" : "layer", o.parts, static_cast<double>(o.eps));
          },
          [](const Rope& o) { return format(" heads=%u", o.heads) + rope_text(o.rope); },
          [](const KvWrite& o) { return format(" cache=%u.%u G=%u D=%u", o.cache.group, o.cache.layer, o.heads, o.head_size); },
          [](const Attention& o) {
            return format(" cache=%u.%u H=%u G=%u D=%u scale=%g window=%u", o.cache.group, o.cache.layer, o.heads, o.kv_heads, o.head_size,
                          static_cast<double>(o.scale), o.window);
          },
          [](const Activate& o) { return format(" %s", name(o.activation)); },
          [](const NormQkvRope& o) {
            return format(" cache=%u.%u H=%u G=%u D=%u", o.cache.group, o.cache.layer, o.heads, o.kv_heads, o.head_size) +
                   rope_text(o.rope);
          },
          [](const NormGateUp& o) { return format(" %s", name(o.activation)); },
          [](const auto&) { return std::string(); },
      },
      op);
}

}  // namespace

std::string to_text(const Program& program, const Op& op) {
  std::string text;
  for (const Value v : outputs(op)) text += value_text(program, v) + " = ";
  text += name(op);
  for (const Value v : inputs(op)) text += " " + value_text(program, v);
  for (const WeightId w : weights(op)) text += " " + weight_text(program, w);
  return text + constants(op);
}

std::string to_text(const Program& program) {
  std::string text;
  size_t next_cut = 0;
  for (size_t at = 0; at < program.ops.size(); ++at) {
    if (next_cut < program.cuts.size() && program.cuts[next_cut] == at) {
      text += "-- cut --\n";
      ++next_cut;
    }
    text += to_text(program, program.ops[at]) + "\n";
  }
  return text;
}

OpCost cost(const Program& program, const Op& op, uint64_t rows, uint64_t outputs, uint64_t cached) {
  OpCost sum;
  const bool per_output = std::holds_alternative<SelectNormHead>(op);
  const bool gathers = std::holds_alternative<GatherRows>(op);
  for (const WeightId w : weights(op)) {
    const WeightInfo& i = program.info(w);
    uint64_t count = per_output ? outputs : rows;
    if (i.n > 1 && !gathers && !per_output) {
      const std::vector<Value> in = inputs(op);
      if (!in.empty() && program.info(in.front()).rows == Rows::outputs) count = outputs;
      if (!in.empty() && program.info(in.front()).rows == Rows::pooled) count = rows / program.pool;
    }
    if (gathers) {
      sum.weight_bytes += rows * row_bytes(i.format, i.k);
    } else if (count > 0) {
      sum.weight_bytes += i.n * row_bytes(i.format, i.k);
      if (i.n > 1) sum.macs += count * i.n * i.k;
    }
  }
  if (const auto* a = std::get_if<DenseAttention>(&op)) sum.macs += 2 * cached * a->heads * a->head_size;
  if (const auto* a = std::get_if<Attention>(&op)) {
    const uint64_t keys = a->window == 0 ? cached : std::min<uint64_t>(cached, rows * a->window);
    sum.attended = keys;
    sum.macs += 2 * keys * a->heads * a->head_size;
  }
  return sum;
}

}  // namespace kl
