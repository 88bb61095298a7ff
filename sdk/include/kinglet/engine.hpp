// Engines and devices. Part of <kinglet/kinglet.hpp>.
#pragma once
#include <kinglet/engine.h>
#include <kinglet/model.hpp>

namespace kinglet {

enum class Backend : int {
  automatic = KL_BACKEND_AUTO,
  cpu = KL_BACKEND_CPU,
  reference = KL_BACKEND_REFERENCE,
  vulkan = KL_BACKEND_VULKAN,
  cuda = KL_BACKEND_CUDA
};
enum class LogLevel : int { debug = KL_LOG_DEBUG, info = KL_LOG_INFO, warning = KL_LOG_WARNING, error = KL_LOG_ERROR };

// See kl_engine_options; zero and empty are its defaults.
struct EngineOptions {
  Backend backend = Backend::automatic;
  int32_t device = 0;
  int32_t threads = 0;
  LogLevel min_log_level = LogLevel::warning;
  std::function<void(LogLevel, std::string_view)> log = {};  // any thread; must not call the library, must not throw
  std::string cache_dir = {};
  uint64_t memory_budget = 0;
};

using DeviceInfo = kl_device_info;
using Roofline = kl_roofline;
using EngineStats = kl_engine_stats;

// What could compute here, in order of preference.
inline Result<std::vector<DeviceInfo>> devices() {
  size_t count = 0;
  if (const kl_status status = kl_device_count(&count); status != KL_OK) return detail::last_error(status);
  std::vector<DeviceInfo> result(count, detail::sized<DeviceInfo>());
  for (size_t index = 0; index < count; ++index) {
    if (const kl_status status = kl_device_get(index, &result[index]); status != KL_OK) return detail::last_error(status);
  }
  return result;
}

class Engine {
 public:
  static Result<Engine> open(const EngineOptions& options = {}) {
    auto raw = detail::sized<kl_engine_options>();
    raw.backend = static_cast<int32_t>(options.backend);
    raw.device = options.device;
    raw.threads = options.threads;
    raw.min_log_level = static_cast<int32_t>(options.min_log_level);
    raw.cache_dir = detail::or_null(options.cache_dir);
    raw.memory_budget = options.memory_budget;
    auto log = std::make_unique<Log>(options.log);
    if (*log) {
      raw.log = [](void* user, kl_log_level level, const char* text) { (*static_cast<Log*>(user))(static_cast<LogLevel>(level), text); };
      raw.log_user = log.get();
    }
    kl_engine* engine = nullptr;
    if (const kl_status status = kl_engine_open(&raw, &engine); status != KL_OK) return detail::last_error(status);
    return Engine(engine, std::move(log));
  }
  kl_engine* get() const { return handle_.get(); }

  // Blocks until the model is ready. kl_model_load
  Result<Model> load(const std::string& path, const ModelOptions& options = {}) const {
    const kl_model_options raw = options.to_c();
    kl_model* model = nullptr;
    if (const kl_status status = kl_model_load(get(), path.c_str(), &raw, &model); status != KL_OK) return detail::last_error(status);
    return Model(model);
  }
  // A whole file in memory, which must stay unchanged until the model is destroyed. kl_model_load_source
  Result<Model> load(std::span<const std::byte> file, const ModelOptions& options = {}) const {
    auto source = detail::sized<kl_source>();
    source.data = file.data();
    source.data_size = file.size();
    return load_source(source, options);
  }
  // An open file; the app keeps its descriptor.
  Result<Model> load_fd(int32_t fd, const ModelOptions& options = {}) const {
    auto source = detail::sized<kl_source>();
    source.fd = fd;
    source.has_fd = 1;
    return load_source(source, options);
  }
  // Bytes it would take, from the header alone. kl_model_estimate
  Result<MemoryEstimate> estimate(const std::string& path, const ModelOptions& options = {}) const {
    auto source = detail::sized<kl_source>();
    source.path = path.c_str();
    const kl_model_options raw = options.to_c();
    auto estimate = detail::sized<MemoryEstimate>();
    if (const kl_status status = kl_model_estimate(get(), &source, &raw, &estimate); status != KL_OK) return detail::last_error(status);
    return estimate;
  }

  Result<void> suspend() { return detail::done(kl_engine_suspend(get())); }
  Result<void> resume() { return detail::done(kl_engine_resume(get())); }

  Result<DeviceInfo> device() const {
    auto info = detail::sized<DeviceInfo>();
    if (const kl_status status = kl_engine_device(get(), &info); status != KL_OK) return detail::last_error(status);
    return info;
  }
  // The machine's roof with so many threads (0: all), measured in about a second. kl_engine_measure
  Result<Roofline> measure(int32_t threads = 0) const {
    auto roofline = detail::sized<Roofline>();
    if (const kl_status status = kl_engine_measure(get(), threads, &roofline); status != KL_OK) return detail::last_error(status);
    return roofline;
  }
  Result<EngineStats> stats() const {
    auto stats = detail::sized<EngineStats>();
    if (const kl_status status = kl_engine_get_stats(get(), &stats); status != KL_OK) return detail::last_error(status);
    return stats;
  }
  // The last steps as a JSON array. kl_engine_trace
  Result<std::string> trace() const {
    char* text = nullptr;
    size_t length = 0;
    if (const kl_status status = kl_engine_trace(get(), &text, &length); status != KL_OK) return detail::last_error(status);
    return detail::taken(text, length);
  }

 private:
  using Log = std::function<void(LogLevel, std::string_view)>;

  Engine(kl_engine* handle, std::unique_ptr<Log> log) : log_(std::move(log)), handle_(handle) {}
  Result<Model> load_source(const kl_source& source, const ModelOptions& options) const {
    const kl_model_options raw = options.to_c();
    kl_model* model = nullptr;
    if (const kl_status status = kl_model_load_source(get(), &source, &raw, &model); status != KL_OK) return detail::last_error(status);
    return Model(model);
  }

  std::unique_ptr<Log> log_;  // before the handle: outlives it
  detail::Handle<kl_engine, kl_engine_destroy> handle_;
};

}  // namespace kinglet
