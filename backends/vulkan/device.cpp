#include "vulkan/device.h"

#include <algorithm>
#include <cstring>

#include "core/formats.h"
#include "vulkan/pipeline_file.h"
#include "vulkan/recording.h"

namespace kl::vulkan {
namespace {

class VulkanDevice final : public Device {
 public:
  VulkanDevice(std::shared_ptr<Context> context, Copier copier, std::unique_ptr<Pipelines> pipelines, const VulkanOptions& options)
      : context_(std::move(context)),
        copier_(std::move(copier)),
        pipelines_(std::move(pipelines)),
        ropes_(context_),
        hide_(options.hide_memory),
        clock_(options.clock) {
    info_ = context_->physical().describe(context_->capabilities()).info;
    running_.reserve(Context::kTickets);
    info_.asynchronous = true;
    info_.identity = cache_key(context_->physical()) + " tier " + context_->capabilities().tier();
  }

  const DeviceInfo& info() const override { return info_; }
  bool reads_host_memory() const override { return false; }
  KernelWork kernel_work() const override { return pipelines_->work(); }

  Result<std::unique_ptr<Memory>> allocate(uint64_t bytes, MemoryUse use) override {
    KL_TRY(context_->lost());
    const bool upload = use == MemoryUse::step_params || use == MemoryUse::pixels;
    const Access access = upload ? Access::upload : use == MemoryUse::drawn ? Access::readback : Access::device;
    KL_ASSIGN(std::unique_ptr<DeviceMemory> memory, DeviceMemory::allocate(context_, bytes, access, hide_ && access == Access::device));
    return std::unique_ptr<Memory>(std::move(memory));
  }

  Status copy(const CopyRequest& request) override { return copier_.copy(request); }

  Answer support(const Program& program, const Op& op, const RunConfig& config) const override {
    return choose_kernel(op, {program, config, context_->limits().maxStorageBufferRange, context_->capabilities().features});
  }

  uint64_t packed_bytes(const WeightInfo& w, const std::string& layout) const override {
    return layout == kVector ? vector_bytes(uint64_t{w.n} * w.k) : uint64_t{w.n} * row_layout(w.format, w.k).row_words * 4;
  }

  Status pack(const PackRequest& r) override {
    if (r.layout == kVector) {
      dequantize_row(r.weight.format, r.canonical.data(), reinterpret_cast<float*>(r.out.data()), uint64_t{r.weight.n} * r.weight.k);
      return {};
    }
    if (r.layout != layout_name(r.weight.format))
      return error(Code::internal, "layout %s is not one of format %s", r.layout.c_str(), kl::name(r.weight.format));
    const uint64_t from = row_bytes(r.weight.format, r.weight.k), to = row_layout(r.weight.format, r.weight.k).row_words;
    auto* out = reinterpret_cast<uint32_t*>(r.out.data());
    for (uint64_t n = 0; n < r.weight.n; ++n) pack_row(r.weight.format, r.canonical.data() + n * from, r.weight.k, out + n * to);
    return {};
  }

  uint64_t kv_page_bytes(const KvGroupInfo& g, KvFormat format) const override { return page_bytes({format, g.head_size, g.heads}); }
  // 8 bits where the hardware has a product for them, as on the CPU; elsewhere rounding would cost accuracy and win nothing.
  ActivationFormat preferred_activations() const override {
    const Capabilities& c = context_->capabilities();
    return c.has(feature::dot) && c.dot_accelerated ? ActivationFormat::q8 : ActivationFormat::f32;
  }
  KvFormat preferred_kv() const override { return KvFormat::f16; }

  Result<std::unique_ptr<Recording>> record(const Plan& plan, const Bindings& bindings) override {
    KL_TRY(context_->lost());
    return record_plan({plan, bindings, context_, *pipelines_, ropes_, copier_});
  }

  // Several queue submissions where one would take too long; the ticket is the last one's.
  Result<Ticket> submit(Recording& recording, uint32_t first, uint32_t last) override {
    auto& r = static_cast<VulkanRecording&>(recording);  // every recording of this device is one
    if (first >= last || last > r.segments()) return error(Code::invalid_argument, "segments %u to %u of %u", first, last, r.segments());
    KL_TRY(context_->lost());
    Running running{&r, last - first, clock_(), 0};
    for (uint32_t at = first; at < last; at += r.at_once()) {
      const uint32_t end = std::min(last, at + r.at_once());
      KL_ASSIGN(running.ticket, context_->submit(r.commands(at, end), end == last));
    }
    running_.push_back(running);
    return running.ticket;
  }

  Status wait(Ticket ticket, std::chrono::milliseconds timeout) override {
    KL_TRY(context_->wait(ticket, timeout));
    const auto at = std::find_if(running_.begin(), running_.end(), [&](const Running& r) { return r.ticket == ticket; });
    if (at == running_.end()) return {};
    const auto now = clock_();
    at->recording->measured(at->segments, now - std::max(at->begin, ended_));  // what ran ahead began when the one before had ended
    ended_ = now;
    running_.erase(at);
    return {};
  }

 private:
  struct Running {
    VulkanRecording* recording = nullptr;
    uint32_t segments = 0;
    std::chrono::steady_clock::time_point begin;
    Ticket ticket = 0;
  };

  std::shared_ptr<Context> context_;
  Copier copier_;
  std::unique_ptr<Pipelines> pipelines_;
  RopeTables ropes_;
  bool hide_;
  std::function<std::chrono::steady_clock::time_point()> clock_;
  DeviceInfo info_;
  std::vector<Running> running_;                 // submitted and not waited for
  std::chrono::steady_clock::time_point ended_;  // of the last that was waited for
};

}  // namespace

namespace {

// The features that options tell us to leave unused.
Result<uint32_t> left_out(const Instance& instance, const VulkanOptions& options) {
  uint32_t without = options.without;
  if (options.tiers_left_out == 0 || options.device >= instance.devices().size()) return without;
  const std::vector<uint32_t> tiers = instance.devices()[options.device].capabilities.tiers();
  if (options.tiers_left_out > tiers.size())
    return error(Code::not_found, "%s has no tier below %zu", instance.devices()[options.device].properties.deviceName, tiers.size() + 1);
  for (uint32_t i = 0; i < options.tiers_left_out; ++i) without |= tiers[i];
  return without;
}

}  // namespace

Result<std::unique_ptr<Device>> open_vulkan(const VulkanOptions& options) {
  KL_ASSIGN(std::shared_ptr<Instance> instance, Instance::get());
  KL_ASSIGN(const uint32_t without, left_out(*instance, options));
  KL_ASSIGN(std::shared_ptr<Context> context, Context::open(std::move(instance), options.device, without, options.emulated_matrix));
  KL_ASSIGN(Copier copier, Copier::create(context));
  KL_ASSIGN(std::unique_ptr<Pipelines> pipelines, Pipelines::create(context, options.cache_dir));
  return std::unique_ptr<Device>(new VulkanDevice(std::move(context), std::move(copier), std::move(pipelines), options));
}

Result<std::vector<BackendDevice>> list_vulkan() {
  KL_ASSIGN(const std::shared_ptr<Instance> instance, Instance::get());
  std::vector<BackendDevice> devices;
  for (const PhysicalDevice& device : instance->devices()) devices.push_back(device.describe(device.capabilities));
  return devices;
}

}  // namespace kl::vulkan

extern "C" [[gnu::visibility("default")]] const kl::BackendModule* kl_backend_module_vulkan() {
  static constexpr kl::BackendModule kModule = {
      kl::kBackendStamp, kl::vulkan::list_vulkan, [](const kl::BackendOptions& options) {
        return kl::vulkan::open_vulkan(
            {.device = options.device, .cache_dir = options.cache_dir, .tiers_left_out = options.tiers_left_out});
      }};
  return &kModule;
}
