// A Program: the ops of one step of one model, in order, with the values and weights they name. Immutable once built; prints as text.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/format.h"
#include "core/status.h"
#include "ir/op.h"

namespace kl {

enum class Rows : uint8_t {
  step /* T: every row of the step */,
  outputs /* O: rows whose logits are wanted */,
  pooled /* U: T / Program::pool */
};
enum class ValueType : uint8_t { f32, i32 };

struct ValueInfo {
  Rows rows = Rows::step;
  uint32_t width = 0;  // values per row
  ValueType type = ValueType::f32;
};

// A weight as the program sees it: [n k] row-major in the file's format. Vectors (gains, biases) have n = 1.
struct WeightInfo {
  std::string name;  // tensor name in the file
  Format format = Format::f32;
  uint32_t n = 1;
  uint32_t k = 0;
  bool transposed = false;  // the file has [k n]; whoever loads it turns it round. Formats of one value a block only
};

// What a group of layers caches.
struct KvGroupInfo {
  uint32_t heads = 0, head_size = 0, window = 0, layers = 0;
};

struct Program {
  std::vector<ValueInfo> values;
  std::vector<WeightInfo> weights;
  std::vector<KvGroupInfo> kv_groups;
  std::vector<Op> ops;
  std::vector<uint32_t> cuts;  // indices into ops before which a segment may end (layer boundaries), ascending
  uint32_t pool = 1;           // rows that become one (Pool); a step's rows are a multiple of it
  Value logits;                // [O V]; of an encoder: invalid
  Value greedy;                // [O 1] int32: what Sample draws; invalid when the program does not sample
  Value features;              // an encoder's result, [O N], [U N] or [T N]; of a decoder: invalid

  const ValueInfo& info(Value v) const { return values[v.id]; }
  const WeightInfo& info(WeightId w) const { return weights[w.id]; }
};

// Operands of an op, in the order of its fields; invalid (absent) ones left out.
std::vector<Value> inputs(const Op& op);
std::vector<Value> outputs(const Op& op);
std::vector<WeightId> weights(const Op& op);

// Shapes and operands agree with the op's definition. Errors name op and operand.
Status check(const Program& program, const Op& op);
Status check(const Program& program);

// What an op reads of weights and computes, for `rows` step rows and `outputs` output rows whose sequences (of an encoder: ranges) hold `cached` rows
// in sum over rows.
struct OpCost {
  uint64_t weight_bytes = 0;  // in the file's format
  uint64_t macs = 0;
  uint64_t attended = 0;  // key-value rows read, summed over rows (attention only); bytes follow from the cache's format
};
OpCost cost(const Program& program, const Op& op, uint64_t rows, uint64_t outputs, uint64_t cached);

std::string to_text(const Program& program, const Op& op);
std::string to_text(const Program& program);

}  // namespace kl
