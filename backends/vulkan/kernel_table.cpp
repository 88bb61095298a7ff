#include "vulkan/kernel_table.h"

#include <algorithm>
#include <cstring>

#include "core/checked.h"
#include "vulkan/ops/ops.h"

namespace kl::vulkan {

std::span<const VulkanKernel> kernels() {
  static const std::vector<VulkanKernel> kTable = [] {
    std::vector<VulkanKernel> table;
    for (const Products* op : {&kNormQkvRope, &kNormGateUp, &kSelectNormHead, &kNormLinear, &kLinearResidual, &kLinear})
      table.insert(table.end(), op->begin(), op->end());
    table.insert(table.end(), {kNormAdd, kAttention, kDenseAttention, kGatherRows, kNorm, kRope, kKvWrite, kActivate, kAdd, kSelectRows,
                               kSample, kPool, kPatchify});
    return table;
  }();
  return kTable;
}

Answer choose_kernel(const Op& op, const SupportContext& c) {
  for (const std::vector<Value>& values : {inputs(op), outputs(op)}) {
    for (const Value v : values) {
      if (c.value_bytes(v) > c.max_range)
        return refuse("a value takes %s bytes, the device binds at most %s", with_commas(c.value_bytes(v)).c_str(),
                      with_commas(c.max_range).c_str());
    }
  }
  return first_that_supports(kernels(), op, c);
}

uint64_t page_bytes(const KvPageShape& shape) { return round_up(kv_page_layout(shape).page_bytes, kBufferAlignment); }

RowClass BindContext::rows(Value v) const {
  const Rows rows = plan.program.info(v).rows;
  const auto most = static_cast<uint32_t>(SupportContext{plan.program, plan.config}.max_rows(v));
  return {rows == Rows::outputs ? 1u : 0u, rows == Rows::pooled ? plan.program.pool : 1u, most};  // words of StepHeader: rows, outputs
}

namespace {

BufferRange range_of(const Memory* memory, uint64_t offset, uint64_t bytes) {
  return {static_cast<const DeviceMemory*>(memory)->buffer(), offset, bytes};  // every Memory of this device is a DeviceMemory
}

}  // namespace

BufferRange BindContext::step() const { return range_of(bindings.step_params, 0, StepParams::bytes(plan.config.limits)); }

BufferRange BindContext::value(Value v) const {
  if (!v.valid()) return step();
  const uint64_t bytes = SupportContext{plan.program, plan.config}.value_bytes(v);
  if (bindings.drawn != nullptr && v.id == plan.program.greedy.id) return range_of(bindings.drawn, 0, bytes);
  return range_of(bindings.arena, plan.value_offset[v.id], bytes);
}

BufferRange BindContext::fed() const {
  return bindings.fed != nullptr ? range_of(bindings.fed, 0, plan.config.limits.outputs * sizeof(int32_t)) : step();
}

BufferRange BindContext::scratch(uint64_t offset, uint64_t bytes) const {
  return range_of(bindings.arena, planned.scratch_offset + offset, bytes);
}

Result<BufferRange> BindContext::weight(WeightId w) const {
  if (!w.valid()) return step();
  for (const WeightUse& use : planned.support.weights) {
    if (!(use.weight == w)) continue;
    const WeightAddress at = bindings.weight(use);
    const WeightInfo& i = info(w);
    const uint64_t bytes =
        use.layout == kVector ? vector_bytes(uint64_t{i.n} * i.k) : uint64_t{i.n} * row_layout(i.format, i.k).row_words * 4;
    if (at.memory == nullptr || at.offset % kBufferAlignment != 0) break;
    return range_of(at.memory, at.offset, bytes);
  }
  return error(Code::internal, "weight %s does not lie in memory of this device", info(w).name.c_str());
}

Result<BufferRange> BindContext::table(std::span<const float> values) const {
  KL_ASSIGN(std::unique_ptr<DeviceMemory> memory, DeviceMemory::allocate(context, values.size_bytes(), Access::upload, false));
  std::memcpy(memory->host(), values.data(), values.size_bytes());
  tables.push_back(std::move(memory));
  return BufferRange{tables.back()->buffer(), 0, values.size_bytes()};
}

Status BindContext::read(WeightId w, std::span<std::byte> out) const {
  for (const WeightUse& use : planned.support.weights) {
    if (!(use.weight == w)) continue;
    const WeightAddress at = bindings.weight(use);
    CopyRequest request;
    request.from = at.memory;
    request.from_offset = at.offset;
    request.bytes = out.size();
    request.to_host = out.data();
    return copier.copy(request);
  }
  return error(Code::internal, "weight %s is not among the op's", info(w).name.c_str());
}

KvPageLayout BindContext::kv_layout(KvRef ref) const {
  const KvGroupInfo& g = plan.program.kv_groups[ref.group];
  return kv_page_layout({plan.config.kv, g.head_size, g.heads});
}

BufferRange BindContext::kv_layer(KvRef ref) const {
  const KvGroupInfo& g = plan.program.kv_groups[ref.group];
  const uint64_t bytes = plan.config.kv_pages[ref.group] * page_bytes({plan.config.kv, g.head_size, g.heads});
  return range_of(bindings.kv[ref.group], ref.layer * bytes, bytes);
}

uint32_t BindContext::word(const void* field) const {
  return static_cast<uint32_t>((static_cast<const std::byte*>(field) - bindings.step_params->host()) / 4);
}

int32_t BindContext::attention_kind(const AttentionKind& kind) const {
  const auto at = std::find(kinds.begin(), kinds.end(), kind);
  if (at != kinds.end()) return static_cast<int32_t>(at - kinds.begin());
  kinds.push_back(kind);
  return static_cast<int32_t>(kinds.size()) - 1;
}

}  // namespace kl::vulkan
