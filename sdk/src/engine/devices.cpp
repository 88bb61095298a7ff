// Which backends there are, and how a device of each is opened.
#include <algorithm>
#include <map>
#include <mutex>

#include "cpu/device.h"
#include "cpu/roofline.h"
#include "engine/engine.h"
#include "plan/self_test.h"

namespace kl {
namespace {

// The verdict on an instruction set, tested at its first use in this process (some milliseconds).
Status verdict(cpu::Isa isa) {
  static std::mutex mutex;
  static std::map<cpu::Isa, Status> verdicts;
  const std::lock_guard lock(mutex);
  if (const auto at = verdicts.find(isa); at != verdicts.end()) return at->second;
  KL_ASSIGN(const std::unique_ptr<Device> device, cpu::open_cpu({.threads = 1, .isa = isa, .reference = false}));
  KL_ASSIGN(const std::unique_ptr<Device> reference, cpu::open_cpu({.threads = 1, .isa = isa, .reference = true}));
  return verdicts[isa] = self_test(*device, *reference);
}

// The best instruction set of this machine that computes right. Error: none does.
Result<cpu::Isa> trusted_isa(const LogSink& log) {
  Status last;
  for (size_t i = std::size(cpu::kIsas); i-- > 0;) {
    if (!cpu::isa_available(cpu::kIsas[i])) continue;
    last = verdict(cpu::kIsas[i]);
    if (last.ok()) return cpu::kIsas[i];
    if (log) log(LogLevel::error, std::string(cpu::name(cpu::kIsas[i])) + " is not used: " + last.message());
  }
  return error(Code::unsupported, "every instruction set fails its self-test; the last one: %s", last.message().c_str());
}

Result<std::unique_ptr<Device>> open(const EngineOptions& options) {
  if (options.backend == Backend::vulkan || options.backend == Backend::cuda) {
    return error(Code::not_found, "this build has no %s backend", options.backend == Backend::cuda ? "cuda" : "vulkan");
  }
  if (options.device != 0)
    return error(Code::not_found, "there is one %s device, number 0, not %u", options.backend == Backend::reference ? "reference" : "cpu",
                 options.device);
  if (options.backend == Backend::reference) return cpu::open_cpu({.threads = options.threads, .isa = {}, .reference = true});
  KL_ASSIGN(const cpu::Isa isa, trusted_isa(options.log));
  return cpu::open_cpu({.threads = options.threads, .isa = isa, .reference = false});
}

DeviceEntry entry(Backend backend, bool chosen, const char* why) {
  DeviceEntry e{.backend = backend, .chosen = chosen, .info = {}, .why = why};
  const auto device = open({.backend = backend, .log = {}, .cache_dir = {}, .features = {}});
  e.available = device.ok();
  if (device.ok()) {
    e.info = (*device)->info();
    e.self_test_passed = backend == Backend::cpu;  // open() gives no device that fails it
  } else {
    e.why = device.status().message();
  }
  return e;
}

}  // namespace

EngineParts parts_for(const EngineOptions& options) {
  EngineParts parts;
  parts.open_device = [options] { return open(options); };
  parts.estimate = &ModelRunner::estimate;
  parts.load = &ModelRunner::load;
  parts.estimate_encoder = &EncoderRunner::estimate;
  parts.load_encoder = &EncoderRunner::load;
  if (options.backend == Backend::automatic || options.backend == Backend::cpu) {
    parts.measure = [](Device&, uint32_t threads) -> Result<Roofline> {
      KL_ASSIGN(const cpu::Roofline r, cpu::measure_roofline(cpu::best_isa(), threads));
      return Roofline{r.read_bytes_per_second * 1e-9, r.dot_macs_per_second * 1e-9, 2 * r.fma_macs_per_second * 1e-9};
    };
  }
  return parts;
}

std::vector<DeviceEntry> list_devices() {
  std::vector<DeviceEntry> devices;
  devices.push_back(entry(Backend::cpu, true, "chosen: the fastest backend of this build"));
  devices.push_back(entry(Backend::reference, false, "exact and slow: only when asked for by name"));
  for (const Backend backend : {Backend::vulkan, Backend::cuda}) {
    devices.push_back({.backend = backend, .info = {}, .why = "this build has no such backend"});
  }
  return devices;
}

}  // namespace kl
