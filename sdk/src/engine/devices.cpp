// Which backends there are, and how a device of each is opened.
#include <algorithm>
#include <map>
#include <mutex>

#include "core/file.h"
#include "core/hash.h"
#include "cpu/device.h"
#include "cpu/roofline.h"
#include "engine/backend_modules.h"
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

// The backends of this build that are libraries of their own, best first.
struct OtherBackend {
  Backend backend;
  const char* name;
};
constexpr OtherBackend kOtherBackends[] = {{Backend::cuda, "cuda"}, {Backend::vulkan, "vulkan"}};

// A verdict that was good is kept in the cache folder under what it depends on; one that was bad is asked for again.
Status verdict_on(Device& device, const std::string& cache_dir) {
  const std::string text = "kinglet self-test 2: passed\n" + device.info().identity + "\n";
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  const std::string path = cache_dir + "/" + hash128(bytes).hex() + ".klverdict";
  const bool cached = !cache_dir.empty() && !device.info().identity.empty();
  if (cached) {
    const auto file = ByteSource::open(path, ByteSource::Access::read);
    if (file.ok() && std::ranges::equal((*file)->bytes(), bytes)) return {};
  }
  KL_ASSIGN(const std::unique_ptr<Device> reference, cpu::open_cpu({.threads = 0, .isa = {}, .reference = true}));
  KL_TRY(self_test(device, *reference));
  if (cached && make_folder(cache_dir).ok()) (void)write_file(path, bytes);  // what cannot be kept is tested again
  return {};
}

// A device of a module that computes right: one that does not is opened again without its best tier; one that hung is not. Errors: the module's own;
// device_lost when no tier computes right.
Result<std::unique_ptr<Device>> open_module(const OtherBackend& other, const EngineOptions& options) {
  KL_ASSIGN(const BackendModule* module, backend_module(other.name));
  Status last;
  for (uint32_t left_out = 0;; ++left_out) {
    Result<std::unique_ptr<Device>> device = module->open({options.device, options.cache_dir, left_out});
    if (!device.ok()) return last.ok() || device.status().code() != Code::not_found ? device.status() : last;
    last = verdict_on(**device, options.cache_dir);
    if (last.ok()) return device;
    if (options.log)
      options.log(LogLevel::error, (*device)->info().name + ", " + (*device)->info().tier + ", is not used: " + last.message());
    if (!(*device)->allocate(4, MemoryUse::arena).ok()) return last;
  }
}

// The number of the first device of a module that is worth choosing unasked. Error: why there is none.
Result<uint32_t> fast_device(const OtherBackend& other) {
  KL_ASSIGN(const BackendModule* module, backend_module(other.name));
  KL_ASSIGN(const std::vector<BackendDevice> devices, module->list());
  for (uint32_t i = 0; i < devices.size(); ++i) {
    if (devices[i].fast) return i;
  }
  if (devices.empty()) return error(Code::not_found, "%s has no device", other.name);
  return error(Code::not_found, "%s (%s) is used only when asked for by name", devices[0].info.name.c_str(), devices[0].info.tier.c_str());
}

Result<std::unique_ptr<Device>> open_on_cpu(const EngineOptions& options) {
  KL_ASSIGN(const cpu::Isa isa, trusted_isa(options.log));
  return cpu::open_cpu({.threads = options.threads, .isa = isa, .reference = false});
}

// The best of the backends from kOtherBackends[first] on, the CPU being the last.
Result<OpenedDevice> open_best(const EngineOptions& options, size_t first) {
  std::string passed_over;  // and why
  for (const OtherBackend& other : std::span(kOtherBackends).subspan(first)) {
    EngineOptions wanted = options;
    Result<uint32_t> number = fast_device(other);
    Status status = number.status();
    if (number.ok()) {
      wanted.device = *number;
      Result<std::unique_ptr<Device>> device = open_module(other, wanted);
      if (device.ok()) return OpenedDevice{std::move(*device), "chosen: a GPU of its own that passes its self-test"};
      status = device.status();
    }
    passed_over += (passed_over.empty() ? "" : "; ") + std::string(other.name) + ": " +
                   (backend_module(other.name).ok() ? status.message() : "not in this installation");
    // A backend that is not built or has no driver is no news; a device that fails is.
    const bool news = status.code() != Code::not_found;
    if (options.log) options.log(news ? LogLevel::warning : LogLevel::info, std::string(other.name) + " is not used: " + status.message());
  }
  KL_ASSIGN(std::unique_ptr<Device> device, open_on_cpu(options));
  return OpenedDevice{std::move(device), "chosen: the best that has a device here" + (passed_over.empty() ? "" : " (" + passed_over + ")")};
}

Result<OpenedDevice> open(const EngineOptions& options) {
  constexpr const char* kNamed = "opened by name";
  for (const OtherBackend& other : kOtherBackends) {
    if (options.backend != other.backend) continue;
    KL_ASSIGN(std::unique_ptr<Device> device, open_module(other, options));
    return OpenedDevice{std::move(device), kNamed};
  }
  if (options.device != 0)
    return error(Code::not_found, "there is one %s device, number 0, not %u", options.backend == Backend::reference ? "reference" : "cpu",
                 options.device);
  if (options.backend == Backend::automatic) return open_best(options, 0);
  KL_ASSIGN(std::unique_ptr<Device> device, options.backend == Backend::reference
                                                ? cpu::open_cpu({.threads = options.threads, .isa = {}, .reference = true})
                                                : open_on_cpu(options));
  return OpenedDevice{std::move(device), kNamed};
}

// What comes behind the backend of a lost device, which is not asked again: this ends with the CPU.
Result<OpenedDevice> open_next(const EngineOptions& options, const DeviceInfo& lost) {
  if (!options.go_on_elsewhere) return error(Code::device_lost, "the app wants no other backend");
  for (size_t i = 0; i < std::size(kOtherBackends); ++i) {
    if (lost.backend == kOtherBackends[i].name) return open_best(options, i + 1);
  }
  return error(Code::device_lost, "no backend comes after %s", lost.backend.c_str());
}

DeviceEntry entry(Backend backend, const char* why) {
  DeviceEntry e{.backend = backend, .info = {}, .why = why};
  const auto device = open({.backend = backend, .log = {}, .cache_dir = {}, .features = {}});
  e.available = device.ok();
  if (device.ok()) {
    e.info = device->device->info();
    e.self_test_passed = backend == Backend::cpu;  // open() gives no device that fails it
  } else {
    e.why = device.status().message();
  }
  return e;
}

// The devices of a module, or one line that says why it has none. Nothing is opened, so the self-test is still to come.
std::vector<DeviceEntry> entries(const OtherBackend& other) {
  const auto none = [&](const Status& status) {
    return std::vector<DeviceEntry>{{.backend = other.backend, .info = {}, .why = status.message()}};
  };
  const auto module = backend_module(other.name);
  if (!module.ok()) return none(module.status());
  const auto devices = (*module)->list();
  if (!devices.ok()) return none(devices.status());
  std::vector<DeviceEntry> all;
  for (const BackendDevice& device : *devices) {
    all.push_back({.backend = other.backend,
                   .index = static_cast<uint32_t>(all.size()),
                   .available = true,
                   .info = device.info,
                   .why = device.fast ? "a GPU of its own: chosen if it passes its self-test" : "only when asked for by name"});
  }
  return all;
}

}  // namespace

EngineParts parts_for(const EngineOptions& options) {
  EngineParts parts;
  parts.open_device = [options] { return open(options); };
  parts.open_next = [options](const DeviceInfo& lost) { return open_next(options, lost); };
  parts.estimate = &ModelRunner::estimate;
  parts.load = &ModelRunner::load;
  parts.estimate_encoder = &EncoderRunner::estimate;
  parts.load_encoder = &EncoderRunner::load;
  if (options.backend == Backend::automatic || options.backend == Backend::cpu) {
    parts.measure = [](Device& device, uint32_t threads) -> Result<Roofline> {
      if (device.info().backend != "cpu")
        return error(Code::unsupported, "the %s backend has no measurement of its roof", device.info().backend.c_str());
      KL_ASSIGN(const cpu::Roofline r, cpu::measure_roofline(cpu::best_isa(), threads));
      return Roofline{r.read_bytes_per_second * 1e-9, r.dot_macs_per_second * 1e-9, 2 * r.fma_macs_per_second * 1e-9};
    };
  }
  return parts;
}

std::vector<DeviceEntry> list_devices() {
  std::vector<DeviceEntry> devices = {entry(Backend::cpu, ""), entry(Backend::reference, "exact and slow: only when asked for by name")};
  for (const OtherBackend& other : kOtherBackends) {
    const std::vector<DeviceEntry> more = entries(other);
    const auto number = fast_device(other);
    const bool first = std::ranges::none_of(devices, [](const DeviceEntry& e) { return e.chosen; });
    devices.insert(devices.end(), more.begin(), more.end());
    if (number.ok() && first) devices[devices.size() - more.size() + *number].chosen = true;
  }
  const bool gpu = std::ranges::any_of(devices, [](const DeviceEntry& e) { return e.chosen; });
  devices[0].chosen = !gpu && devices[0].available;
  if (devices[0].available)
    devices[0].why = gpu ? "chosen where no GPU passes its self-test" : "chosen: the fastest backend that has a device here";
  return devices;
}

}  // namespace kl
