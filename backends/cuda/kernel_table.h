// The CUDA device's kernels: rows ordered best first. A row's predicate and its launcher stand in the same file (ops/<op>.cpp).
#pragma once
#include <cstring>
#include <span>

#include "backend/kernel_choice.h"
#include "backend/kv_page.h"
#include "cuda/common/kernel_args.h"
#include "cuda/common/matrix.h"
#include "cuda/memory.h"
#include "cuda/pack.h"
#include "cuda/rope_tables.h"
#include "plan/plan.h"

namespace kl::cuda {

// One launch of a kernel of kernels/*.cu.
struct Launch {
  std::string kernel;  // "file" or "file__variant"
  uint32_t grid[3] = {1, 1, 1};
  uint32_t block = 0;           // threads, one-dimensional
  uint32_t shared_bytes = 0;    // dynamic shared memory
  std::vector<std::byte> args;  // the kernel's argument struct
  uint32_t stage = 0;           // of the op; several launches of a stage need no barrier between them
};

template <class Args>
Launch make_launch(std::string kernel, const Args& args, uint32_t block) {
  static_assert(std::is_trivially_copyable_v<Args> && sizeof(Args) <= 4000, "a kernel's argument is plain data, 4 KB at most");
  Launch l;
  l.kernel = std::move(kernel);
  l.block = block;
  l.args.resize(sizeof args);
  std::memcpy(l.args.data(), &args, sizeof args);
  return l;
}

// What a predicate may look at.
struct SupportContext {
  const Program& program;
  const RunConfig& config;
  const Gpu& gpu;

  const WeightInfo& info(WeightId w) const { return program.info(w); }
  uint64_t max_rows(Value v) const { return kl::max_rows(program, config, program.info(v).rows); }  // of this bucket
};

// What a recording owns beside its operands.
struct RecordingMemory {
  std::vector<std::unique_ptr<DeviceMemory>> owned;
  DevicePointer counters = 0;  // the rest of the last of them that has counters
  uint64_t counters_left = 0;  // bytes
};

// What a launcher binds to. All addresses are the device's and live as long as the recording.
struct BindContext {
  const Plan& plan;
  const PlannedOp& planned;
  const Bindings& bindings;
  const Gpu& gpu;
  RopeTables& ropes;
  Copier& copier;
  const std::shared_ptr<Context>& context;
  RecordingMemory& memory;

  const WeightInfo& info(WeightId w) const { return plan.program.info(w); }
  uint32_t width(Value v) const { return plan.program.info(v).width; }
  uint32_t most_rows(Value v) const;  // of this bucket: what grids are made for
  RowCount rows(Value v) const;       // of the step, for kernels
  float* value(Value v) const;        // null: absent
  std::byte* scratch(uint64_t offset) const;
  // A field of the step's parameters on the device; `field` as StepParams of params() gives it.
  template <class T>
  const T* step(const T* field) const {
    return reinterpret_cast<const T*>(step_address(field));
  }
  StepParams params() const { return {bindings.step_params->host(), plan.config.limits}; }
  // The weight in the layout that support() named; absent: null. Error internal: it does not lie on this device.
  Result<Matrix> matrix(WeightId w) const;
  Result<const float*> vector(WeightId w) const;
  // A layer's pages, page_bytes(kv_layout(ref)) each.
  std::byte* kv_layer(KvRef ref) const;
  KvPageLayout kv_layout(KvRef ref) const;
  const float* features() const;    // null: none
  const int32_t* fed() const;       // null: none
  const std::byte* pixels() const;  // null: none
  // Constants that live as long as the recording.
  Result<const float*> table(std::span<const float> values) const;
  // Counters of blocks that come (common/arrive.cuh), zero now and after every launch, that nobody else has and that live as long as the recording.
  Result<uint32_t*> counters(uint32_t count) const;
  Status read(WeightId w, std::span<std::byte> out) const;  // a weight back to the host

 private:
  DevicePointer step_address(const void* field) const;
  Result<WeightAddress> weight(WeightId w) const;
};

struct CudaKernel {
  const char* name;
  const char* op;  // name(Op)
  Answer (*support)(const Op& op, const SupportContext& context);
  Status (*bind)(const Op& op, const BindContext& context, std::vector<Launch>& out);
};

std::span<const CudaKernel> kernels();
// The first row that does not refuse.
Answer choose_kernel(const Op& op, const SupportContext& context);

// Bytes of a page on this device.
uint64_t page_bytes(const KvPageShape& shape);

}  // namespace kl::cuda
