// What a backend provides. A Device is not thread-safe; the scheduler thread owns it. No call throws, prints or ends the process.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "backend/step_params.h"
#include "core/status.h"
#include "ir/program.h"

namespace kl {

struct Plan;  // plan/plan.h: filled by the planner, read by record()

struct DeviceInfo {
  std::string backend;        // "cpu", "reference", "vulkan", "cuda"
  std::string name;           // the device in the driver's words
  std::string tier;           // capability tier: "avx512-vnni"
  std::string driver;         // driver and version; "": none
  std::string capabilities;   // what the tier was chosen from, for people
  uint64_t memory_bytes = 0;  // what it could hold
  uint32_t threads = 1;       // CPU team size
  std::string
      identity;  // driver, its version and ours, as far as results depend on them: the key of a cached self-test verdict; "": none is cached
  bool one_kernel_class = true;  // a row's bits are the same in a bucket of any size
  bool asynchronous = false;     // submit() returns before the work is done, and what is submitted next runs behind it
};

// What a device has spent on making kernels ready since it was opened. A backend whose kernels come compiled has none.
struct KernelWork {
  uint32_t made = 0;           // kernels handed to the driver's compiler; one that is there already is not counted again
  double seconds = 0;          // spent there
  uint64_t read_bytes = 0;     // compiled code that was found on disk
  uint64_t written_bytes = 0;  // what the driver gave to keep on disk, a header alone where it gives no code
};

// Memory on a device; released by its destructor.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual uint64_t bytes() const = 0;
  virtual std::byte* host() const = 0;  // null where the host cannot address it
};

enum class MemoryUse : uint8_t {
  weights,
  kv,
  arena,
  step_params,
  features,
  pixels,
  drawn  // written by the device, a few words a step; the host can always address it, and reads it while later steps run
};

// How the model is to be run: facts that a support answer depends on besides the op itself.
struct RunConfig {
  ActivationFormat activations = ActivationFormat::q8;  // wanted input rounding of linears with quantized weights
  KvFormat kv = KvFormat::f16;
  uint32_t rows = 1;               // of this bucket, at most (T)
  uint32_t outputs = 1;            // likewise (O)
  StepLimits limits;               // the layout of StepParams: the same for every bucket of a model
  std::vector<uint32_t> kv_pages;  // [groups] pages of each group's pool
};

// Where a weight is to lie for an implementation. "canonical": the file's own bytes, read where they are.
struct WeightUse {
  WeightId weight;
  std::string layout;
  bool operator==(const WeightUse&) const = default;
};

// One launch of an implementation. Scratch is shared by the op's stages and lives while the op runs.
struct Stage {
  std::string name;
  bool barrier = true;  // needs the previous stage of the same op to be complete
};

struct Support {
  std::string kernel;  // row of the kernel table: "linear.q8.avx512-vnni"
  std::vector<Stage> stages;
  std::vector<WeightUse> weights;  // one per weight of the op
  uint64_t scratch_bytes = 0;
  ActivationFormat activations = ActivationFormat::f32;
  uint32_t row = 0;                  // the backend's own index of the kernel
  std::vector<std::string> skipped;  // better kernels and why each refused: "linear.f32: weights are q4_0"
};

struct Refusal {
  std::string reason;
};

using Answer = std::variant<Support, Refusal>;

// Where a weight lies: at a host address (a backend whose kernels read any), or within memory of the device.
struct WeightAddress {
  WeightAddress() = default;
  WeightAddress(const std::byte* address) : host(address) {}  // NOLINT(google-explicit-constructor)
  WeightAddress(const Memory* block, uint64_t at) : host(block->host() ? block->host() + at : nullptr), memory(block), offset(at) {}

  const std::byte* host = nullptr;  // null where the host cannot address it
  const Memory* memory = nullptr;   // null: host memory of no device
  uint64_t offset = 0;
};

// What a recording is bound to: fixed addresses for its whole life.
struct Bindings {
  Memory* arena = nullptr;        // [Plan::arena_bytes]
  Memory* step_params = nullptr;  // StepParams::bytes(limits)
  std::vector<Memory*> kv;        // one pool per group
  Memory* features = nullptr;     // [StepLimits::feature_rows M] float32: what GatherRows takes rows < 0 from
  Memory* pixels = nullptr;       // [StepLimits::pixel_bytes]: RGB, 8 bits each
  Memory* drawn = nullptr;        // [StepLimits::outputs] int32: where Program::greedy goes; null: into the arena
  const Memory* fed = nullptr;    // [StepLimits::outputs] int32: what the step before drew (kFedToken); null: no token is fed
  std::function<WeightAddress(const WeightUse&)> weight;  // where each weight of the plan lies
};

// A backend's replayable form of a Plan.
class Recording {
 public:
  virtual ~Recording() = default;
  virtual uint32_t segments() const = 0;
};

using Ticket = uint64_t;

struct PackRequest {
  WeightInfo weight;
  std::string layout;
  std::span<const std::byte> canonical;  // the file's bytes
  std::span<std::byte> out;              // packed_bytes() long
};

// From the host or a Memory, to a Memory or the host. Complete when copy() returns. Ranges must not overlap.
struct CopyRequest {
  Memory* to = nullptr;  // null: to_host
  uint64_t to_offset = 0;
  const Memory* from = nullptr;  // null: from_host
  const std::byte* from_host = nullptr;
  uint64_t from_offset = 0;
  uint64_t bytes = 0;
  std::byte* to_host = nullptr;
};

class Device {
 public:
  virtual ~Device() = default;

  virtual const DeviceInfo& info() const = 0;
  virtual Result<std::unique_ptr<Memory>> allocate(uint64_t bytes, MemoryUse use) = 0;
  virtual Status copy(const CopyRequest& request) = 0;
  // Kernels read weights at any host address (a mapped file); else weights must lie in memory of this device.
  virtual bool reads_host_memory() const = 0;
  virtual KernelWork kernel_work() const { return {}; }

  // Which kernel runs `op`, with its stages, scratch and wanted layouts; or why none does. `op` belongs to `program`.
  virtual Answer support(const Program& program, const Op& op, const RunConfig& config) const = 0;

  // Bytes of a weight in a layout that support() named.
  virtual uint64_t packed_bytes(const WeightInfo& weight, const std::string& layout) const = 0;
  virtual Status pack(const PackRequest& request) = 0;
  // Bytes of one page of one layer of a group in a format, and of a group's whole pool.
  virtual uint64_t kv_page_bytes(const KvGroupInfo& group, KvFormat format) const = 0;

  // The activation format this device prefers when the app does not say.
  virtual ActivationFormat preferred_activations() const = 0;
  virtual KvFormat preferred_kv() const = 0;

  virtual Result<std::unique_ptr<Recording>> record(const Plan& plan, const Bindings& bindings) = 0;
  // Runs segments [first, last). Returns at once where the device is asynchronous; wait() then says how it ended.
  virtual Result<Ticket> submit(Recording& recording, uint32_t first, uint32_t last) = 0;
  virtual Status wait(Ticket ticket, std::chrono::milliseconds timeout) = 0;
};

}  // namespace kl
