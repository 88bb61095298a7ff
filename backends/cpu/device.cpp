#include "cpu/device.h"

#include <algorithm>
#include <cstring>

#include "backend/transfer.h"
#include "core/formats.h"
#include "cpu/kernel_table.h"
#include "cpu/machine.h"
#include "cpu/memory.h"
#include "cpu/pack/pack.h"
#include "cpu/recording.h"
#include "cpu/thread_team.h"

namespace kl::cpu {
namespace {

constexpr uint32_t kMaxThreads = 256;

// Panels are independent: the team packs them side by side.
class PackJob final : public TeamJob {
 public:
  explicit PackJob(const PackRequest& request) : request_(request) {}
  uint32_t phases() const override { return 1; }
  uint32_t tasks(uint32_t) override { return static_cast<uint32_t>(panel_count(request_.weight.n)); }
  void run(uint32_t, uint32_t panel, uint32_t) override {
    const WeightInfo& w = request_.weight;
    const size_t first = panel * kPanelOutputs;
    pack_panel(w.format, request_.canonical.data() + first * row_bytes(w.format, w.k), std::min(kPanelOutputs, w.n - first), w.k,
               request_.out.data() + panel * panel_bytes(w.format, w.k));
  }

 private:
  const PackRequest& request_;
};

class CpuDevice final : public Device {
 public:
  CpuDevice(const CpuOptions& options, Isa isa, std::unique_ptr<ThreadTeam> team)
      : table_(options.reference ? reference_kernels() : fast_kernels()), isa_(isa), team_(std::move(team)), reference_(options.reference) {
    info_.backend = options.reference ? "reference" : "cpu";
    info_.name = cpu_model_name();
    info_.tier = options.reference ? "scalar, double accumulation" : name(isa);
    info_.memory_bytes = physical_memory_bytes();
    info_.threads = team_->threads();
  }

  const DeviceInfo& info() const override { return info_; }
  Result<std::unique_ptr<Memory>> allocate(uint64_t bytes, MemoryUse) override { return allocate_host(bytes); }

  bool reads_host_memory() const override { return true; }

  Status copy(const CopyRequest& r) override {
    if (r.bytes == 0) return {};
    KL_ASSIGN(const CopyEnds ends, ends_of(r));
    std::memmove(ends.target, ends.source, r.bytes);
    return {};
  }

  Answer support(const Program& program, const Op& op, const RunConfig& config) const override {
    const SupportContext context{program, config, name(isa_), team_->threads()};
    return first_that_supports(table_, op, context);
  }

  uint64_t packed_bytes(const WeightInfo& w, const std::string& layout) const override {
    if (layout == kCanonical) return 0;
    if (layout == kVector) return uint64_t{w.n} * w.k * sizeof(float);
    return kl::cpu::packed_bytes(w.format, w.n, w.k);
  }

  Status pack(const PackRequest& r) override {
    if (r.layout == kVector) {
      dequantize_row(r.weight.format, r.canonical.data(), reinterpret_cast<float*>(r.out.data()), uint64_t{r.weight.n} * r.weight.k);
      return {};
    }
    if (r.layout != layout_name(r.weight.format))
      return error(Code::internal, "layout %s is not one of format %s", r.layout.c_str(), kl::name(r.weight.format));
    PackJob job(r);
    team_->run(job);
    return {};
  }

  uint64_t kv_page_bytes(const KvGroupInfo& g, KvFormat format) const override {
    return kv_page_layout({format, g.head_size, g.heads}).page_bytes;
  }
  ActivationFormat preferred_activations() const override { return reference_ ? ActivationFormat::f32 : ActivationFormat::q8; }
  KvFormat preferred_kv() const override { return reference_ ? KvFormat::f32 : KvFormat::f16; }

  Result<std::unique_ptr<Recording>> record(const Plan& plan, const Bindings& bindings) override {
    return record_plan(plan, bindings, table_, kernels(isa_), attention_kernels(isa_), team_->threads());
  }

  Result<Ticket> submit(Recording& recording, uint32_t first, uint32_t last) override {
    static_cast<CpuRecording&>(recording).run(*team_, first, last);  // every recording of this device is a CpuRecording
    return Ticket{0};
  }
  Status wait(Ticket, std::chrono::milliseconds) override { return {}; }  // submit ran it

 private:
  std::span<const CpuKernel> table_;
  Isa isa_;
  std::unique_ptr<ThreadTeam> team_;
  bool reference_;
  DeviceInfo info_;
};

}  // namespace

Result<std::unique_ptr<Device>> open_cpu(const CpuOptions& options) {
  if (options.threads > kMaxThreads)
    return error(Code::invalid_argument, "threads must be 1 to %u (0: one per core) but is %u", kMaxThreads, options.threads);
  const Isa isa = options.isa.value_or(best_isa());
  if (!isa_available(isa)) return error(Code::invalid_argument, "this processor or build has no %s kernels", name(isa));
  KL_ASSIGN(std::unique_ptr<ThreadTeam> team, ThreadTeam::create(options.threads == 0 ? usable_cores() : options.threads));
  return std::unique_ptr<Device>(new CpuDevice(options, isa, std::move(team)));
}

}  // namespace kl::cpu
