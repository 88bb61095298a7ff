#include "engine/engine.h"

namespace kl {

Result<std::shared_ptr<Engine>> Engine::open(const EngineOptions& options, const EngineParts& parts) {
  auto engine = std::make_shared<Engine>();
  engine->options_ = options;
  engine->parts_ = parts;
  engine->delivery_ = std::make_shared<Delivery>();
  engine->image_worker_ = std::make_shared<ImageWorker>();
  KL_ASSIGN(engine->scheduler_, Scheduler::start(parts.open_device, parts.open_next, options.log));
  return engine;
}

void Engine::shutdown() {
  scheduler_->shutdown();
  image_worker_->shutdown();
  delivery_->finish();
}

std::shared_ptr<FeatureCache> Engine::feature_cache() const {
  const std::lock_guard lock(feature_cache_mutex_);
  if (!feature_cache_) feature_cache_ = std::make_shared<FeatureCache>(options_.features);
  return feature_cache_;
}

Result<Roofline> Engine::measure(uint32_t threads) const {
  const DeviceInfo used = scheduler_->device_in_use().info;
  const uint32_t team = used.threads;
  if (threads > team) return error(Code::invalid_argument, "%u threads are asked for, the team has %u", threads, team);
  if (!parts_.measure) return error(Code::unsupported, "the %s backend has no measurement of its roof", used.backend.c_str());
  Roofline roofline;
  KL_TRY(scheduler_->on_thread(Scheduler::Needs::device, [&](Device& device) -> Status {
    KL_ASSIGN(roofline, parts_.measure(device, threads == 0 ? team : threads));
    return {};
  }));
  return roofline;
}

}  // namespace kl
