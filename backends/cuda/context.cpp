#include "cuda/context.h"

#include <algorithm>
#include <thread>

namespace kl::cuda {
namespace {

constexpr std::chrono::milliseconds kCopyTimeout{20000};
// A step is a millisecond or so: asking again at once costs a core for that long and answers within a microsecond; later the core is given up between questions.
constexpr std::chrono::microseconds kSpin{2000}, kNap{50};

constexpr int kProgrammaticArchitecture = 90;  // griddepcontrol

int attribute(const Driver& driver, Attribute which, int device) {
  int value = 0;
  return driver.device_attribute(&value, which, device) == kCudaSuccess ? value : 0;
}

// Empty: the device runs us.
std::string refusal(const Driver& driver, const Gpu& gpu) {
  if (gpu.architecture < kOldestArchitecture)
    return format("%s: compute capability %d.%d, at least 7.5 is needed", gpu.name.c_str(), gpu.architecture / 10, gpu.architecture % 10);
  if (attribute(driver, kAttributeComputeMode, gpu.device) == kComputeModeProhibited)
    return format("%s: its compute mode prohibits contexts", gpu.name.c_str());
  return {};
}

Gpu look(const Driver& driver, int device) {
  Gpu gpu;
  gpu.device = device;
  char name[256] = {};
  if (driver.device_name(name, sizeof name - 1, device) == kCudaSuccess) gpu.name = name;
  DeviceUuid uuid{};
  if (driver.device_uuid(&uuid, device) == kCudaSuccess) {
    for (const char byte : uuid.bytes) gpu.uuid += format("%02x", static_cast<unsigned>(static_cast<unsigned char>(byte)));
  }
  size_t bytes = 0;
  if (driver.device_memory(&bytes, device) == kCudaSuccess) gpu.memory_bytes = bytes;
  gpu.architecture = 10 * attribute(driver, kAttributeMajor, device) + attribute(driver, kAttributeMinor, device);
  gpu.multiprocessors = attribute(driver, kAttributeMultiprocessors, device);
  gpu.clock_khz = attribute(driver, kAttributeClockKhz, device);
  gpu.max_shared = static_cast<uint32_t>(attribute(driver, kAttributeSharedOptin, device));
  gpu.integrated = attribute(driver, kAttributeIntegrated, device) != 0;
  (void)driver.driver_version(&gpu.driver_version);
  gpu.programmatic = gpu.architecture >= kProgrammaticArchitecture && driver.graph_add_dependencies != nullptr;
  return gpu;
}

// After these the driver gives the same error to every call of the context.
bool sticky(int code) {
  return code == 214 /* ECC_UNCORRECTABLE */ || code == 220 /* NVLINK_UNCORRECTABLE */ || code == 226 /* CONTAINED */ ||
         (code >= 700 && code <= 702) || code == 709 /* CONTEXT_IS_DESTROYED */ || code == 710 /* ASSERT */ ||
         (code >= 714 && code <= 719) || code == 46 /* DEVICE_UNAVAILABLE */ || code == 4 /* DEINITIALIZED */ || code == 999 /* UNKNOWN */;
}

}  // namespace

BackendDevice Gpu::describe() const {
  BackendDevice d;
  d.info.backend = "cuda";
  d.info.name = name;
  d.info.tier =
      format("sm_%d, %d multiprocessors, %s%sdriver for CUDA %d.%d", architecture, multiprocessors, integrated ? "integrated, " : "",
             programmatic ? "programmatic launches, " : "", driver_version / 1000, driver_version / 10 % 100);
  d.info.memory_bytes = memory_bytes;
  d.fast = !integrated;
  return d;
}

Result<std::vector<Gpu>> list_gpus(const Driver& driver) {
  int count = 0;
  if (const int code = driver.device_count(&count); code != kCudaSuccess || count == 0)
    return error(Code::not_found, "the CUDA driver found no device%s%s", code == kCudaSuccess ? "" : ": ",
                 code == kCudaSuccess ? "" : error_name(driver, code));
  std::vector<Gpu> gpus;
  std::string reasons;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    int device = 0;
    if (driver.device_get(&device, ordinal) != kCudaSuccess) continue;
    Gpu gpu = look(driver, device);
    const std::string reason = refusal(driver, gpu);
    if (reason.empty()) {
      gpus.push_back(std::move(gpu));
    } else {
      reasons += (reasons.empty() ? "" : "; ") + reason;
    }
  }
  if (gpus.empty()) return error(Code::not_found, "no CUDA device can run this library: %s", reasons.c_str());
  std::stable_sort(gpus.begin(), gpus.end(), [](const Gpu& a, const Gpu& b) { return a.strength() > b.strength(); });
  return gpus;
}

Context::Use::Use(const Context& context) : driver_(&context.driver_) { (void)driver_->context_push(context.context_); }
Context::Use::~Use() {
  DriverContext popped = nullptr;
  (void)driver_->context_pop(&popped);
}

Result<std::shared_ptr<Context>> Context::open(const Driver& driver, uint32_t device) {
  KL_ASSIGN(const std::vector<Gpu> gpus, list_gpus(driver));
  if (device >= gpus.size())
    return error(Code::not_found, "there %s %zu CUDA device%s, numbered from 0: there is no number %u", gpus.size() == 1 ? "is" : "are",
                 gpus.size(), gpus.size() == 1 ? "" : "s", device);
  auto context = std::make_shared<Context>(driver);
  context->gpu_ = gpus[device];
  KL_TRY(context->start());
  return context;
}

Status Context::start() {
  KL_TRY(check(driver_.context_create(&context_, 0, gpu_.device), "cuCtxCreate"));
  DriverContext popped = nullptr;
  KL_TRY(check(driver_.context_pop(&popped), "cuCtxPopCurrent"));  // creating made it current
  const Use use(*this);
  KL_TRY(check(driver_.stream_create(&stream_, kStreamNonBlocking), "cuStreamCreate"));
  for (Slot& slot : slots_) KL_TRY(check(driver_.event_create(&slot.event, kEventDisableTiming), "cuEventCreate"));
  return {};
}

Context::~Context() {
  if (context_ == nullptr || abandoned_) return;
  {
    const Use use(*this);
    for (const Slot& slot : slots_) {
      if (slot.event != nullptr) (void)driver_.event_destroy(slot.event);
    }
    if (stream_ != nullptr) (void)driver_.stream_destroy(stream_);
  }
  (void)driver_.context_destroy(context_);  // a poisoned one too: what it holds is free again
}

Status Context::check(int code, const char* call) {
  if (code == kCudaSuccess) return {};
  const char* name = gpu_.name.c_str();
  if (code == kCudaOutOfMemory) return error(Code::out_of_memory, "%s: %s ran out of memory", name, call);
  if (code == kCudaNoBinary) return error(Code::unsupported, "%s: this build has no kernels for sm_%d", name, gpu_.architecture);
  if (!sticky(code)) return error(Code::internal, "%s: %s failed with %s (%d)", name, call, error_name(driver_, code), code);
  if (lost_.ok()) lost_ = error(Code::device_lost, "%s was lost in %s: %s (%d)", name, call, error_name(driver_, code), code);
  return lost_;
}

Result<uint64_t> Context::mark() {
  KL_TRY(lost_);
  Slot* free = std::find_if(std::begin(slots_), std::end(slots_), [](const Slot& s) { return s.ticket == 0; });
  if (free == std::end(slots_)) return error(Code::busy, "%u submissions are not waited for", kTickets);
  KL_TRY(check(driver_.event_record(free->event, stream_), "cuEventRecord"));
  free->ticket = next_ticket_++;
  return free->ticket;
}

Status Context::wait(uint64_t ticket, std::chrono::milliseconds timeout) {
  KL_TRY(lost_);
  Slot* slot = std::find_if(std::begin(slots_), std::end(slots_), [&](const Slot& s) { return s.ticket == ticket; });
  if (ticket == 0 || slot == std::end(slots_))
    return error(Code::internal, "there is no submission %llu", static_cast<unsigned long long>(ticket));
  const auto begin = std::chrono::steady_clock::now();
  for (;;) {
    const int code = driver_.event_query(slot->event);
    if (code != kCudaNotReady) {
      KL_TRY(check(code, "cuEventQuery"));
      slot->ticket = 0;
      return {};
    }
    const auto waited = std::chrono::steady_clock::now() - begin;
    if (waited >= timeout) {
      abandoned_ = true;
      lost_ = error(Code::device_lost, "%s did not finish within %lld ms and is not used any more", gpu_.name.c_str(),
                    static_cast<long long>(timeout.count()));
      return lost_;
    }
    if (waited > kSpin) std::this_thread::sleep_for(kNap);
  }
}

Status Context::finish() {
  KL_ASSIGN(const uint64_t ticket, mark());
  return wait(ticket, kCopyTimeout);
}

}  // namespace kl::cuda
