#include "cuda/device.h"

#include "core/formats.h"
#include "cuda/recording.h"

namespace kl::cuda {
namespace {

class CudaDevice final : public Device {
 public:
  CudaDevice(std::shared_ptr<Context> context, Copier copier)
      : context_(std::move(context)), copier_(std::move(copier)), modules_(context_), ropes_(context_, copier_) {
    const Gpu& gpu = context_->gpu();
    info_ = gpu.describe().info;
    info_.asynchronous = true;
    info_.identity =
        format("cuda %s %s sm_%d driver %d, %s", gpu.uuid.c_str(), gpu.name.c_str(), gpu.architecture, gpu.driver_version, kBackendStamp);
  }

  const DeviceInfo& info() const override { return info_; }
  bool reads_host_memory() const override { return false; }

  Result<std::unique_ptr<Memory>> allocate(uint64_t bytes, MemoryUse use) override {
    const bool mapped = use == MemoryUse::pixels || use == MemoryUse::drawn;
    const Access access = use == MemoryUse::step_params ? Access::upload : mapped ? Access::mapped : Access::device;
    KL_ASSIGN(std::unique_ptr<DeviceMemory> memory, DeviceMemory::allocate(context_, bytes, access));
    return std::unique_ptr<Memory>(std::move(memory));
  }

  Status copy(const CopyRequest& request) override { return copier_.copy(request); }

  Answer support(const Program& program, const Op& op, const RunConfig& config) const override {
    return choose_kernel(op, {program, config, context_->gpu()});
  }

  uint64_t packed_bytes(const WeightInfo& w, const std::string& layout) const override {
    return layout == kVector ? vector_bytes(uint64_t{w.n} * w.k) : matrix_bytes(w.format, w.n, w.k);
  }

  Status pack(const PackRequest& r) override {
    if (r.layout == kVector) {
      dequantize_row(r.weight.format, r.canonical.data(), reinterpret_cast<float*>(r.out.data()), uint64_t{r.weight.n} * r.weight.k);
      return {};
    }
    if (r.layout != layout_name(r.weight.format))
      return error(Code::internal, "layout %s is not one of format %s", r.layout.c_str(), kl::name(r.weight.format));
    pack_matrix(r.weight.format, r.canonical.data(), r.weight.n, r.weight.k, r.out.data());
    return {};
  }

  uint64_t kv_page_bytes(const KvGroupInfo& g, KvFormat format) const override { return page_bytes({format, g.head_size, g.heads}); }
  ActivationFormat preferred_activations() const override { return ActivationFormat::q8; }
  KvFormat preferred_kv() const override { return KvFormat::f16; }

  Result<std::unique_ptr<Recording>> record(const Plan& plan, const Bindings& bindings) override {
    KL_TRY(context_->lost());
    return record_plan({plan, bindings, context_, modules_, ropes_, copier_});
  }

  Result<Ticket> submit(Recording& recording, uint32_t first, uint32_t last) override {
    auto& r = static_cast<CudaRecording&>(recording);  // every recording of this device is one
    if (first >= last || last > r.segments()) return error(Code::invalid_argument, "segments %u to %u of %u", first, last, r.segments());
    KL_TRY(context_->lost());
    const Context::Use use(*context_);
    KL_TRY(r.launch(first, last));
    return context_->mark();
  }

  Status wait(Ticket ticket, std::chrono::milliseconds timeout) override {
    const Context::Use use(*context_);
    return context_->wait(ticket, timeout);
  }

 private:
  std::shared_ptr<Context> context_;
  Copier copier_;
  Modules modules_;
  RopeTables ropes_;
  DeviceInfo info_;
};

Result<const Driver*> driver_or_machines(const Driver* driver) {
  if (driver != nullptr) return driver;
  return machine_driver();
}

}  // namespace

Result<std::unique_ptr<Device>> open_cuda(const CudaOptions& options) {
  KL_ASSIGN(const Driver* const driver, driver_or_machines(options.driver));
  KL_ASSIGN(std::shared_ptr<Context> context, Context::open(*driver, options.device));
  KL_ASSIGN(Copier copier, Copier::create(context));
  return std::unique_ptr<Device>(new CudaDevice(std::move(context), std::move(copier)));
}

Result<std::vector<BackendDevice>> list_cuda(const Driver* driver) {
  KL_ASSIGN(const Driver* const used, driver_or_machines(driver));
  KL_ASSIGN(const std::vector<Gpu> gpus, list_gpus(*used));
  std::vector<BackendDevice> devices;
  devices.reserve(gpus.size());
  for (const Gpu& gpu : gpus) devices.push_back(gpu.describe());
  return devices;
}

}  // namespace kl::cuda

extern "C" [[gnu::visibility("default")]] const kl::BackendModule* kl_backend_module_cuda() {
  static constexpr kl::BackendModule kModule = {
      kl::kBackendStamp, [] { return kl::cuda::list_cuda(); },
      [](const kl::BackendOptions& options) { return kl::cuda::open_cuda({.device = options.device, .driver = nullptr}); }};
  return &kModule;
}
