// An engine: the scheduler of one device, the threads that deliver events, and what all models of it share.
// Thread-safe. Lives as long as a handle, model or session refers to it; shutdown() ends its work before.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "engine/delivery.h"
#include "engine/scheduler.h"
#include "weights/gguf.h"

namespace kl {

enum class Backend : int32_t { automatic = 0, cpu = 1, reference = 2, vulkan = 3, cuda = 4 };  // the numbers of kl_backend

struct Roofline {
  double read_gb_per_s = 0, int8_gmac_per_s = 0, fp32_gflop_per_s = 0;
};

struct EngineOptions {
  Backend backend = Backend::automatic;
  uint32_t device = 0;
  uint32_t threads = 0;  // 0: one per physical core
  LogSink log;
  std::string cache_dir;
  uint64_t memory_budget = 0;
  FeatureCacheOptions features;  // its folder is cache_dir, or empty
  bool go_on_elsewhere = true;   // after a lost device
};

// What an engine is made of; tests give their own.
struct EngineParts {
  Scheduler::OpenDevice open_device;
  Scheduler::OpenNext open_next;
  std::function<Result<MemoryEstimate>(const Gguf&, Device&, const RunnerOptions&)> estimate;
  std::function<Result<std::unique_ptr<ModelRunner>>(std::shared_ptr<const Gguf>, Device&, const RunnerOptions&, const LoadProgress&,
                                                     const LogSink&)>
      load;
  std::function<Result<MemoryEstimate>(const Gguf&, Device&, const EncoderOptions&)> estimate_encoder;
  std::function<Result<std::unique_ptr<EncoderRunner>>(const std::shared_ptr<const Gguf>&, Device&, const EncoderOptions&,
                                                       const LoadProgress&, const LogSink&)>
      load_encoder;
  std::function<Result<Roofline>(Device&, uint32_t threads)> measure;
};
EngineParts parts_for(const EngineOptions& options);

class Engine {
 public:
  static Result<std::shared_ptr<Engine>> open(const EngineOptions& options, const EngineParts& parts);
  void shutdown();

  Scheduler& scheduler() const { return *scheduler_; }
  const std::shared_ptr<Scheduler>& scheduler_ptr() const { return scheduler_; }
  const std::shared_ptr<Delivery>& delivery() const { return delivery_; }
  const EngineOptions& options() const { return options_; }
  const EngineParts& parts() const { return parts_; }
  const std::shared_ptr<ImageWorker>& image_worker() const { return image_worker_; }
  // Made at its first use.
  std::shared_ptr<FeatureCache> feature_cache() const;
  // threads: 0 for all. Errors: invalid_argument, unsupported, busy, closed.
  Result<Roofline> measure(uint32_t threads) const;

  std::atomic<uint64_t> sessions = 0, sequences = 0;  // open now

 private:
  EngineOptions options_;
  EngineParts parts_;
  std::shared_ptr<Scheduler> scheduler_;
  std::shared_ptr<Delivery> delivery_;
  std::shared_ptr<ImageWorker> image_worker_;
  mutable std::mutex feature_cache_mutex_;
  mutable std::shared_ptr<FeatureCache> feature_cache_;
};

// One line of kl_device_get.
struct DeviceEntry {
  Backend backend = Backend::cpu;
  uint32_t index = 0;
  bool available = false;
  bool chosen = false;            // by Backend::automatic
  bool self_test_passed = false;  // false: not run (the reference is what others are tested against)
  DeviceInfo info;
  std::string why;
};
std::vector<DeviceEntry> list_devices();

}  // namespace kl
