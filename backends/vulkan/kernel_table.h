// The Vulkan device's kernels: rows ordered best first. A row's predicate and its launcher stand in the same file (ops/<op>.cpp).
#pragma once
#include <bit>
#include <span>

#include "backend/kernel_choice.h"
#include "backend/kv_page.h"
#include "plan/plan.h"
#include "vulkan/memory.h"
#include "vulkan/pack.h"
#include "vulkan/pipelines.h"
#include "vulkan/rope_tables.h"

namespace kl::vulkan {

struct BufferRange {
  VkBuffer buffer = VK_NULL_HANDLE;
  uint64_t offset = 0, bytes = 0;
};

// One vkCmdDispatch with what it is bound to.
struct Dispatch {
  Variant variant;
  std::vector<BufferRange> buffers;  // bindings 1, 2, ...; one that is absent (an operand the op lacks) is bound to the step's parameters
  std::vector<uint32_t> push;
  uint32_t grid[3] = {1, 1, 1};
  int32_t kind = -1;   // not negative: the grid is what prepare.comp wrote for this kind of attention
  uint32_t stage = 0;  // of the op; several dispatches of a stage need no barrier between them
};

// What a predicate may look at.
struct SupportContext {
  const Program& program;
  const RunConfig& config;
  uint64_t max_range = 0;  // bytes of one binding
  uint32_t features = 0;   // of the device, as it is used: bits of `feature`

  const WeightInfo& info(WeightId w) const { return program.info(w); }
  uint64_t max_rows(Value v) const { return kl::max_rows(program, config, program.info(v).rows); }  // of this bucket
  uint64_t value_bytes(Value v) const { return max_rows(v) * program.info(v).width * 4; }
};

// A kind of attention whose grid depends on the step's lengths.
struct AttentionKind {
  uint32_t window = 0, heads = 0;
  bool operator==(const AttentionKind&) const = default;
};

// Which rows of a step a value has, for shaders: a word of the header, divided by `pool`; and how many they can be.
struct RowClass {
  uint32_t rows_of = 0, pool = 1, most = 1;
};

// What a launcher binds to.
struct BindContext {
  const Plan& plan;
  const PlannedOp& planned;
  const Bindings& bindings;
  uint64_t max_range = 0;
  RopeTables& ropes;
  Copier& copier;
  std::vector<AttentionKind>& kinds;
  const std::shared_ptr<Context>& context;
  std::vector<std::unique_ptr<DeviceMemory>>& tables;  // what the recording owns beside its operands

  const WeightInfo& info(WeightId w) const { return plan.program.info(w); }
  uint32_t width(Value v) const { return plan.program.info(v).width; }
  RowClass rows(Value v) const;
  BufferRange value(Value v) const;  // absent: the step's parameters
  BufferRange fed() const;           // likewise
  BufferRange scratch(uint64_t offset, uint64_t bytes) const;
  BufferRange step() const;
  // The weight in the layout that support() named; absent: the step's parameters. Error internal: it does not lie on this device.
  Result<BufferRange> weight(WeightId w) const;
  BufferRange kv_layer(KvRef ref) const;
  KvPageLayout kv_layout(KvRef ref) const;
  // Constants that live as long as the recording.
  Result<BufferRange> table(std::span<const float> values) const;
  Status read(WeightId w, std::span<std::byte> out) const;  // a weight back to the host
  // Words of the step's parameters, for push constants.
  uint32_t word(const void* field) const;
  StepParams params() const { return {bindings.step_params->host(), plan.config.limits}; }
  // The index of a kind of attention, noted for prepare.comp.
  int32_t attention_kind(const AttentionKind& kind) const;
};

inline uint32_t bits(float v) { return std::bit_cast<uint32_t>(v); }

struct VulkanKernel {
  const char* name;
  const char* op;  // name(Op)
  Answer (*support)(const Op& op, const SupportContext& context);
  Status (*bind)(const Op& op, const BindContext& context, std::vector<Dispatch>& out);
};

std::span<const VulkanKernel> kernels();
// The first row that does not refuse.
Answer choose_kernel(const Op& op, const SupportContext& context);

// Bytes of a page on this device: the page formula's, rounded so that every layer can be bound.
uint64_t page_bytes(const KvPageShape& shape);

}  // namespace kl::vulkan
