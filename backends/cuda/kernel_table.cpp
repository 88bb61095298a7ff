#include "cuda/kernel_table.h"

#include <algorithm>

#include "core/checked.h"
#include "cuda/ops/ops.h"

namespace kl::cuda {

std::span<const CudaKernel> kernels() {
  static const CudaKernel kTable[] = {
      // One row a line: rows are added side by side.
      // clang-format off
      kSelectNormHeadMany, kNormGateUpMany, kNormLinearMany, kLinearResidualMany, kLinearNormAddMany, kLinearMany,
      kSelectNormHeadFew, kNormGateUpFew, kNormLinearFew, kLinearResidualFew, kLinearNormAddFew, kLinearFew,
      kSelectNormHeadEight, kNormGateUpEight, kNormLinearEight, kLinearResidualEight, kLinearNormAddEight, kLinearEight,
      kSelectNormHead, kNormGateUp, kNormLinear, kLinearResidual, kLinearNormAdd, kLinear, kNormAdd,
      kNorm,           kGatherRows, kRope,       kActivate,       kAdd,    kSelectRows,
      kSample,         kPool,       kPatchify,    kNormQkvRope,   kKvWrite, kAttention, kDenseAttention,
      // clang-format on
  };
  return kTable;
}

Answer choose_kernel(const Op& op, const SupportContext& c) { return first_that_supports(kernels(), op, c); }

uint64_t page_bytes(const KvPageShape& shape) { return round_up(kv_page_layout(shape).page_bytes, kAlignment); }

namespace {

// Every Memory of this device is a DeviceMemory.
DevicePointer address_of(const Memory* memory, uint64_t offset) { return static_cast<const DeviceMemory*>(memory)->address() + offset; }

}  // namespace

DevicePointer BindContext::step_address(const void* field) const {
  return address_of(bindings.step_params, static_cast<uint64_t>(static_cast<const std::byte*>(field) - bindings.step_params->host()));
}

uint32_t BindContext::most_rows(Value v) const {
  return static_cast<uint32_t>(max_rows(plan.program, plan.config, plan.program.info(v).rows));
}

RowCount BindContext::rows(Value v) const {
  const Rows rows = plan.program.info(v).rows;
  const StepHeader& header = params().header();
  return {step(rows == Rows::outputs ? &header.outputs : &header.rows), rows == Rows::pooled ? plan.program.pool : 1u};
}

float* BindContext::value(Value v) const {
  if (!v.valid()) return nullptr;
  if (bindings.drawn != nullptr && v.id == plan.program.greedy.id) return reinterpret_cast<float*>(address_of(bindings.drawn, 0));
  return reinterpret_cast<float*>(address_of(bindings.arena, plan.value_offset[v.id]));
}

std::byte* BindContext::scratch(uint64_t offset) const {
  return reinterpret_cast<std::byte*>(address_of(bindings.arena, planned.scratch_offset + offset));
}

Result<WeightAddress> BindContext::weight(WeightId w) const {
  for (const WeightUse& use : planned.support.weights) {
    if (!(use.weight == w)) continue;
    const WeightAddress at = bindings.weight(use);
    if (at.memory != nullptr && at.offset % 16 == 0) return at;
  }
  return error(Code::internal, "weight %s does not lie in memory of this device", info(w).name.c_str());
}

Result<Matrix> BindContext::matrix(WeightId w) const {
  if (!w.valid()) return Matrix{};
  KL_ASSIGN(const WeightAddress at, weight(w));
  const WeightInfo& i = info(w);
  const PanelLayout l = panel_layout(i.format, i.k);
  return Matrix{
      reinterpret_cast<const void*>(address_of(at.memory, at.offset)), i.n, i.k, l.tiles, l.high_at, l.scale_at, l.super_at, l.panel_bytes};
}

Result<const float*> BindContext::vector(WeightId w) const {
  if (!w.valid()) return static_cast<const float*>(nullptr);
  KL_ASSIGN(const WeightAddress at, weight(w));
  return reinterpret_cast<const float*>(address_of(at.memory, at.offset));
}

namespace {

// Memory of the recording with `bytes` in it.
Result<DevicePointer> keep(const BindContext& c, std::span<const std::byte> bytes) {
  KL_ASSIGN(std::unique_ptr<DeviceMemory> memory, DeviceMemory::allocate(c.context, bytes.size(), Access::device));
  CopyRequest request;
  request.to = memory.get();
  request.from_host = bytes.data();
  request.bytes = bytes.size();
  KL_TRY(c.copier.copy(request));
  c.memory.owned.push_back(std::move(memory));
  return c.memory.owned.back()->address();
}

}  // namespace

Result<const float*> BindContext::table(std::span<const float> values) const {
  KL_ASSIGN(const DevicePointer at, keep(*this, std::as_bytes(values)));
  return reinterpret_cast<const float*>(at);
}

Result<uint32_t*> BindContext::counters(uint32_t count) const {
  constexpr uint64_t kApart = 32,
                     kAtOnce = 16384;  // of one op and the next, so that they share no sector; of all layers in an allocation or two
  const uint64_t bytes = round_up(uint64_t{count} * sizeof(uint32_t), kApart);
  if (memory.counters_left < bytes) {
    const std::vector<std::byte> zeros(std::max(bytes, kAtOnce));
    KL_ASSIGN(memory.counters, keep(*this, zeros));
    memory.counters_left = zeros.size();
  }
  auto* const at = reinterpret_cast<uint32_t*>(memory.counters);
  memory.counters += bytes;
  memory.counters_left -= bytes;
  return at;
}

Status BindContext::read(WeightId w, std::span<std::byte> out) const {
  KL_ASSIGN(const WeightAddress at, weight(w));
  CopyRequest request;
  request.from = at.memory;
  request.from_offset = at.offset;
  request.bytes = out.size();
  request.to_host = out.data();
  return copier.copy(request);
}

KvPageLayout BindContext::kv_layout(KvRef ref) const {
  const KvGroupInfo& g = plan.program.kv_groups[ref.group];
  return kv_page_layout({plan.config.kv, g.head_size, g.heads});
}

std::byte* BindContext::kv_layer(KvRef ref) const {
  const KvGroupInfo& g = plan.program.kv_groups[ref.group];
  const uint64_t bytes = plan.config.kv_pages[ref.group] * page_bytes({plan.config.kv, g.head_size, g.heads});
  return reinterpret_cast<std::byte*>(address_of(bindings.kv[ref.group], ref.layer * bytes));
}

const float* BindContext::features() const {
  return bindings.features != nullptr ? reinterpret_cast<const float*>(address_of(bindings.features, 0)) : nullptr;
}
const int32_t* BindContext::fed() const {
  return bindings.fed != nullptr ? reinterpret_cast<const int32_t*>(address_of(bindings.fed, 0)) : nullptr;
}
const std::byte* BindContext::pixels() const {
  return bindings.pixels != nullptr ? reinterpret_cast<const std::byte*>(address_of(bindings.pixels, 0)) : nullptr;
}

}  // namespace kl::cuda
