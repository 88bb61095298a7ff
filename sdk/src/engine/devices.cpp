// Which backends there are, and how a device of each is opened.
#include "cpu/device.h"
#include "engine/engine.h"

namespace kl {
namespace {

Result<std::unique_ptr<Device>> open(const EngineOptions& options) {
  if (options.backend == Backend::vulkan || options.backend == Backend::cuda) {
    return error(Code::not_found, "this build has no %s backend", options.backend == Backend::cuda ? "cuda" : "vulkan");
  }
  if (options.device != 0)
    return error(Code::not_found, "there is one %s device, number 0, not %u", options.backend == Backend::reference ? "reference" : "cpu",
                 options.device);
  return cpu::open_cpu({.threads = options.threads, .isa = {}, .reference = options.backend == Backend::reference});
}

DeviceEntry entry(Backend backend, bool chosen, const char* why) {
  DeviceEntry e{.backend = backend, .chosen = chosen, .info = {}, .why = why};
  const auto device = open({.backend = backend, .threads = 1, .log = {}, .cache_dir = {}});
  e.available = device.ok();
  if (device.ok()) {
    e.info = (*device)->info();
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
