// When a device is lost: the next one is opened, and what was at work goes on there from its tokens.
//
//   a step, slice or load says device_lost --> noted --between two steps--> there is no other device: everything fails, for good (lost_)
//                                                                    '----> there is: no model is in place, jobs wait as preempted ones do, images start over
//
// A model is put on the new device when a job, an image or an evaluation needs it. One that cannot be put there fails those who need it now, with the reason, and is
// tried again for the next who does. Every loss uses up a device, and their number is finite: nothing here goes round for ever.
#include <new>

#include "engine/scheduler.h"

namespace kl {
namespace {

// Where there is no memory for its sentence, an error goes on without.
Status copy_of(const Status& status) noexcept {
  try {
    return status;
  } catch (const std::bad_alloc&) {
    return Status(status.code(), {});
  }
}

}  // namespace

void Scheduler::device_lost(const Status& status) noexcept {
  if (!loss_.ok()) return;
  loss_ = copy_of(status);
  const std::lock_guard lock(mutex_);
  ++stats_.devices_lost;
}

void Scheduler::go_on_elsewhere() noexcept {
  if (loss_.ok()) return;
  const Status why = std::exchange(loss_, Status());
  log(LogLevel::error, why.message());
  try {
    if (!open_next_) return give_up(why);
    Result<OpenedDevice> next = open_next_(device_->info());
    if (!next.ok()) {
      log(LogLevel::error, "there is no other device to go on on: " + next.status().message());
      return give_up(why);
    }
    const DeviceInfo& info = next->device->info();
    const std::string text = device_->info().name + " was lost (" + why.message() + "): going on on " + info.backend + ", " + info.name;
    DeviceInUse in_use{info, "went on here: " + device_->info().name + " was lost (" + why.message() + ")"};
    forget_device();
    device_ = std::move(next->device);
    {
      const std::lock_guard lock(mutex_);
      std::swap(in_use_, in_use);
    }
    log(LogLevel::warning, text);
  } catch (const std::exception&) {  // std::bad_alloc, before anything has changed
    give_up(why);
  }
}

void Scheduler::give_up(const Status& why) noexcept {
  {
    const std::lock_guard lock(mutex_);
    lost_ = copy_of(why);
  }
  for (const auto& job : jobs_) end_job(*job, Event::fail(copy_of(why)));
  end_encodes(why);
}

// Everything that lay on the device has gone. What it was is on the host: tokens, pixels, rows of pictures.
void Scheduler::forget_device() noexcept {
  ++device_number_;
  for (const auto& job : jobs_) {
    if (!job->admitted) continue;
    job->admitted = false;
    job->alone = false;
    job->cache->in_use = false;
    job->generation->update_stats([](GenerationStats& s) { ++s.device_changes; });
  }
  for (const auto& cache : caches_) {
    cache->sequence.reset();
    if (cache->evictable) cache->content.clear();
  }
  encode_ = {};  // an image's rows come from one device: its first tile again
  for (const auto& model : models_) {
    model->encoder.reset();
    model->runner.reset();
    model->memory = 0;
    model->in_place = false;
  }
}

Status Scheduler::load_into(ModelSlot& slot, const LoadProgress& progress) {
  uint64_t used = 0;
  for (const auto& model : models_) used += model->memory;
  const KernelWork before = device_->kernel_work();
  KL_ASSIGN(LoadedModel loaded, slot.load(*device_, used, progress));
  slot.runner = std::move(loaded.runner);
  slot.encoder = std::move(loaded.encoder);
  slot.memory = loaded.placement.memory;
  slot.set_placement(std::move(loaded.placement));
  slot.in_place = true;
  const KernelWork work = device_->kernel_work();
  if (work.made > 0) {
    log(LogLevel::info,
        format("%s: %u kernels compiled for this model in %.2f s, %u in use already; %llu bytes of compiled code came from disk",
               device_->info().name.c_str(), work.made - before.made, work.seconds - before.seconds, before.made,
               static_cast<unsigned long long>(work.read_bytes)));
  }
  return {};
}

// The model on the device, for somebody who needs it. no: those who did have been told. later: the device was lost meanwhile, or the app wants the thread.
Scheduler::Placed Scheduler::put_in_place(const std::shared_ptr<ModelSlot>& slot) {
  if (slot->in_place) return Placed::yes;
  if (interrupted() || !loss_.ok()) return Placed::later;
  Status status;
  try {
    status = load_into(*slot, [&](double) {
      end_cancelled();
      return !interrupted();
    });
  } catch (const std::bad_alloc&) {
    status = Status(Code::out_of_memory, {});
  }
  if (status.ok()) return Placed::yes;
  if (status.code() == Code::cancelled && interrupted()) return Placed::later;
  if (status.code() == Code::device_lost) {
    device_lost(status);
    return Placed::later;
  }
  const std::string& message = status.message();
  const Status why = error(Code::device_lost, "the device was lost, and the model cannot go on on the %s backend: %s",
                           device_->info().backend.c_str(), message.empty() ? code_name(status.code()) : message.c_str());
  log(LogLevel::error, why.message());
  fail_users(*slot, why);
  return Placed::no;
}

void Scheduler::fail_users(const ModelSlot& slot, const Status& why) noexcept {
  for (const auto& job : jobs_) {
    if (!job->done && job->cache->model.get() == &slot) end_job(*job, Event::fail(copy_of(why)));
  }
  for (const auto& image : encodes_) {
    if (image->slot().get() == &slot) image->end(ImageState::failed, copy_of(why));
  }
}

// Between two pieces of a load: a cancel does not wait for its end.
void Scheduler::end_cancelled() noexcept {
  for (const auto& job : jobs_) {
    if (!job->done && job->generation->cancelled()) end_job(*job, Event::stop());
  }
}

Status Scheduler::with_runner(const std::shared_ptr<ModelSlot>& model, const std::function<Status(ModelRunner&)>& work) {
  return on_thread(Needs::nothing, [&](Device&) -> Status {
    if (!model->in_place && !suspended_) (void)put_in_place(model);
    if (!model->runner) return error(Code::device_lost, "the model's device was lost, and no other has it");
    return work(*model->runner);
  });
}

Scheduler::DeviceInUse Scheduler::device_in_use() const {
  const std::lock_guard lock(mutex_);
  return in_use_;
}

}  // namespace kl
