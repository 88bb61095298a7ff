#include "engine/scheduler.h"

#include <algorithm>
#include <condition_variable>
#include <new>
#include <system_error>

namespace kl {

// A piece of work that a thread waits for. Lives on that thread's stack; the queue holds its address until it is done.
struct Scheduler::Call {
  Needs needs = Needs::nothing;
  const std::function<Status(Device&)>* work = nullptr;

  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  Status status;
  // Progress, on its way from the scheduler thread to the caller.
  double fraction = 0;
  bool fraction_changed = false;
  bool cancelled = false;

  void finish(Status how) noexcept {
    const std::lock_guard lock(mutex);
    status = std::move(how);
    done = true;
    changed.notify_all();  // under the lock: the caller frees this object as soon as it can take it
  }
  bool report(double value) {
    const std::lock_guard lock(mutex);
    fraction = std::max(fraction, value);
    fraction_changed = true;
    changed.notify_all();
    return !cancelled;
  }
  Status wait(const LoadProgress* progress = nullptr) {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return done || (progress && fraction_changed); });
      if (!progress || !fraction_changed) break;
      fraction_changed = false;
      const double value = fraction;
      lock.unlock();
      const bool go_on = (*progress)(value);
      lock.lock();
      if (!go_on) cancelled = true;
    }
    return std::move(status);
  }
};

Result<std::shared_ptr<Scheduler>> Scheduler::start(OpenDevice open_device, OpenNext open_next, LogSink log) {
  std::shared_ptr<Scheduler> scheduler(new Scheduler(std::move(open_next), std::move(log)));
  Call opened;
  try {
    scheduler->thread_ = std::thread([raw = scheduler.get(), &open_device, &opened] { raw->main(open_device, opened); });
  } catch (const std::system_error& e) {
    return error(Code::out_of_memory, "the system gives no thread for the scheduler: %s", e.what());
  }
  Status status = opened.wait();
  if (!status.ok()) {
    scheduler->thread_.join();
    return status;
  }
  return scheduler;
}

Scheduler::~Scheduler() { shutdown(); }

void Scheduler::shutdown() {
  const std::lock_guard only_one(shutdown_mutex_);
  stopping_.store(true);
  waker_->wake();
  if (thread_.joinable()) thread_.join();
}

void Scheduler::log(LogLevel level, const std::string& text) const noexcept {
  if (!log_) return;
  try {
    log_(level, text);
  } catch (...) {  // NOLINT(bugprone-empty-catch): the app's sink; there is no other place to say it
  }
}

void Scheduler::main(const OpenDevice& open_device, Call& opened) {
  Status status;
  try {
    auto opened_device = open_device();
    status = opened_device.status();
    if (opened_device.ok()) {
      device_ = std::move(opened_device->device);
      const std::lock_guard lock(mutex_);
      in_use_ = {device_->info(), std::move(opened_device->why)};
    }
  } catch (const std::bad_alloc&) {
    device_.reset();
    status = Status(Code::out_of_memory, {});
  }
  const bool ok = status.ok();
  opened.finish(std::move(status));
  if (!ok) return;
  while (!stopping_.load()) {
    try {
      loop();
    } catch (const std::exception&) {
      // Only the bookkeeping between steps throws (std::bad_alloc). The oldest running job gives way, so that something changes before the next attempt.
      for (const auto& job : jobs_) {
        if (job->done) continue;
        end_job(*job, Event::fail(Status(Code::out_of_memory, {})));
        break;
      }
    }
  }
  end_everything();
}

void Scheduler::loop() {
  for (;;) {
    waker_->clear();
    if (stopping_.load()) return;  // not before clear(), which would take shutdown()'s call for one that was seen
    take();
    run_calls(false);
    reap();
    if (!suspended_ && !stopping_.load()) {
      go_on_elsewhere();
      admit_waiting();
      reap();
      if (work()) {
        publish_counts();
        continue;
      }
    }
    publish_counts();
    if (loss_.ok() || suspended_) waker_->wait();  // else the next device is to be opened, on which nobody may have a reason to call
  }
}

// Never throws: what waited behind it, calls above all, would wait for as long as there is no memory.
void Scheduler::take() noexcept {
  std::vector<std::unique_ptr<Job>> refused;
  {
    const std::lock_guard lock(mutex_);
    encodes_.splice(encodes_.end(), image_arrivals_);
    if (arrivals_.empty()) return;
    try {
      jobs_.reserve(jobs_.size() + arrivals_.size());
      for (auto& job : arrivals_) jobs_.push_back(std::move(job));
    } catch (const std::bad_alloc&) {
      refused.swap(arrivals_);
    }
    arrivals_.clear();
  }
  for (const auto& job : refused) end_job(*job, Event::fail(Status(Code::out_of_memory, {})));
}

void Scheduler::run_calls(bool refuse) {
  for (;;) {
    Call* call = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (calls_.empty()) return;
      call = calls_.front();
      calls_.pop_front();
    }
    Status status;
    if (!refuse && !suspended_) go_on_elsewhere();
    try {
      if (refuse) {
        status = error(Code::closed, "the engine was destroyed");
      } else if (call->needs == Needs::device && !lost_.ok()) {
        status = lost_;
      } else if (call->needs == Needs::device && suspended_) {
        status = error(Code::busy, "the engine is suspended");
      } else {
        reap();  // what the app let go before this call must not stand in its way: its pages are free now
        status = (*call->work)(*device_);
      }
    } catch (const std::bad_alloc&) {
      status = Status(refuse ? Code::closed : Code::out_of_memory, {});
    } catch (const std::exception&) {
      status = Status(Code::internal, {});
    }
    call->finish(std::move(status));
  }
}

Status Scheduler::on_thread(Needs needs, const std::function<Status(Device&)>& work) {
  Call call;
  call.needs = needs;
  call.work = &work;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return error(Code::closed, "the engine was destroyed");
    calls_.push_back(&call);
  }
  waker_->wake();
  return call.wait();
}

Result<SlotOwner<ModelSlot>> Scheduler::load(LoadModel load, std::shared_ptr<const Vocabulary> vocabulary, const LoadProgress& progress) {
  auto slot = std::make_shared<ModelSlot>();
  slot->vocabulary = std::move(vocabulary);
  slot->load = std::move(load);
  Call call;
  const std::function<Status(Device&)> work = [&](Device&) -> Status {
    models_.reserve(models_.size() + 1);
    for (;;) {
      Status loaded = load_into(*slot, [&](double fraction) { return call.report(fraction) && !stopping_.load(); });
      if (loaded.ok()) break;
      if (loaded.code() != Code::device_lost) return loaded;
      device_lost(loaded);
      go_on_elsewhere();
      if (!lost_.ok()) return loaded;
    }
    slot->id = next_model_id_++;
    if (slot->runner) {  // not with a projector alone
      slot->images = {slot->runner->spec().grid_positions, slot->runner->spec().bidirectional_images};
      slot->context = slot->runner->options().context;
      slot->vocabulary_size = slot->runner->spec().vocabulary;
    }
    models_.push_back(slot);
    return {};
  };
  call.needs = Needs::device;
  call.work = &work;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return error(Code::closed, "the engine was destroyed");
    calls_.push_back(&call);
  }
  waker_->wake();
  KL_TRY(call.wait(progress ? &progress : nullptr));
  return SlotOwner<ModelSlot>(std::move(slot), waker_);
}

Status Scheduler::submit(std::unique_ptr<Job>& job) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return error(Code::closed, "the engine was destroyed");
    if (!lost_.ok()) return lost_;
    arrivals_.push_back(nullptr);
    arrivals_.back() = std::move(job);
  }
  waker_->wake();
  return {};
}

Status Scheduler::suspend() {
  suspend_asked_.store(true);  // ends the step in progress at its next segment; it is run again after resume
  Status status = on_thread(Needs::nothing, [&](Device&) -> Status {
    suspended_ = true;
    return {};
  });
  suspend_asked_.store(false);
  return status;
}

Status Scheduler::resume() {
  return on_thread(Needs::nothing, [&](Device&) -> Status {
    suspended_ = false;
    return {};
  });
}

SchedulerStats Scheduler::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

// What was cancelled, ended or let go leaves.
void Scheduler::reap() noexcept {
  for (const auto& job : jobs_) {
    if (!job->done && job->generation->cancelled()) end_job(*job, Event::stop());
  }
  std::erase_if(jobs_, [](const auto& job) { return job->done; });
  std::erase_if(caches_, [&](const auto& cache) {
    if (!cache->released.load() || cache->in_use) return false;
    drop_cache(*cache);
    return true;
  });
  (void)next_encode();  // lets go of those that have ended
  // A model goes last: its sessions, jobs and caches have gone before (each holds the slot).
  std::erase_if(models_, [](const auto& model) {
    if (!model->released.load()) return false;
    model->encoder.reset();
    model->runner.reset();
    model->load = nullptr;  // and the file that it holds
    return true;
  });
}

void Scheduler::end_job(Job& job, Event&& final) noexcept {
  if (job.done) return;
  job.done = true;
  CacheSlot& cache = *job.cache;
  if (job.admitted) {
    cache.in_use = false;
    cache.last_used = step_number_;
    if (final.kind == EventKind::failed) {
      drop_cache(cache);  // its rows may be what broke
    } else {
      publish(cache);
    }
  }
  job.admitted = false;
  try {
    job.owner->job_ended(job, final.kind);
  } catch (const std::exception&) {
    final = Event::fail(Status(Code::out_of_memory, {}));
  }
  job.owner.reset();
  {
    const std::lock_guard lock(mutex_);
    ++stats_.generations_ended;
  }
  job.generation->end(std::move(final));
}

void Scheduler::end_everything() noexcept {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  for (const auto& job : jobs_) end_job(*job, Event::stop());
  jobs_.clear();
  for (const auto& job : arrivals_) end_job(*job, Event::stop());  // closed: no other thread adds any more
  arrivals_.clear();
  end_encodes(Status(Code::closed, {}));
  run_calls(true);
  caches_.clear();
  for (const auto& model : models_) {
    model->encoder.reset();
    model->runner.reset();
    model->load = nullptr;
  }
  models_.clear();
  device_.reset();
}

void Scheduler::publish_counts() noexcept {
  uint64_t used = 0, total = 0, memory = 0, running = 0;
  for (const auto& model : models_) {
    memory += model->memory;
    if (!model->runner) continue;
    const BlockPool& pool = model->runner->cache().pool(0);
    used += uint64_t{pool.capacity() - pool.free_pages()} * kKvPageTokens;
    total += uint64_t{pool.capacity()} * kKvPageTokens;
  }
  for (const auto& job : jobs_) running += job->admitted ? 1 : 0;
  const std::lock_guard lock(mutex_);
  stats_.kv_tokens_used = used;
  stats_.kv_tokens_total = total;
  stats_.memory_bytes = memory;
  stats_.models = models_.size();
  stats_.images_waiting = encodes_.size();
  stats_.generations_running = running;
  stats_.generations_waiting = jobs_.size() - running;
}

}  // namespace kl
