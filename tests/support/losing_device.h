// A device around another one that is lost at submissions of the test's choice: the work is done, but what comes back is device_lost, from then on for good.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <set>

#include "engine/engine.h"
#include "support/forwarding_device.h"

namespace kl {

// Shared by all devices of an engine, and by the test.
struct Losses {
  void lose_at(std::set<uint64_t> submissions) {  // counted over all devices, from now on
    const std::lock_guard lock(mutex);
    at = std::move(submissions);
    submitted = 0;
  }
  bool now() {
    const std::lock_guard lock(mutex);
    return at.count(submitted++) > 0;
  }
  uint64_t count() {
    const std::lock_guard lock(mutex);
    return submitted;
  }
  std::mutex mutex;
  std::set<uint64_t> at;
  uint64_t submitted = 0;
  std::atomic<int> devices = 0;  // open now
};

class LosingDevice final : public ForwardingDevice {
 public:
  LosingDevice(std::unique_ptr<Device> inner, std::shared_ptr<Losses> losses)
      : ForwardingDevice(std::move(inner)), losses_(std::move(losses)) {
    ++losses_->devices;
  }
  ~LosingDevice() override { --losses_->devices; }

  Result<std::unique_ptr<Memory>> allocate(uint64_t bytes, MemoryUse use) override {
    KL_TRY(lost_);
    return inner_->allocate(bytes, use);
  }
  Status copy(const CopyRequest& request) override {
    KL_TRY(lost_);
    return inner_->copy(request);
  }
  Result<std::unique_ptr<Recording>> record(const Plan& plan, const Bindings& bindings) override {
    KL_TRY(lost_);
    return inner_->record(plan, bindings);
  }
  // Lost in the submission or in the wait for it, by turns; the wait is a real one without time, which a driver at work does not survive.
  Result<Ticket> submit(Recording& recording, uint32_t first, uint32_t last) override {
    KL_TRY(lost_);
    const bool now = losses_->now();
    auto ticket = inner_->submit(recording, first, last);
    if (!now || !ticket.ok()) return ticket;
    Status status = inner_->wait(*ticket, std::chrono::milliseconds(0));
    if (status.ok()) status = error(Code::device_lost, "the device under test was lost");
    lost_ = std::move(status);
    if (losses_->count() % 2 == 0) return lost_;
    return ticket;
  }
  Status wait(Ticket ticket, std::chrono::milliseconds timeout) override {
    KL_TRY(lost_);
    return inner_->wait(ticket, timeout);
  }

 private:
  std::shared_ptr<Losses> losses_;
  Status lost_;
};

// `first`, then `others` more of what open_next gives: all of them can be lost. Then what open_next gives without that.
inline EngineParts losing_parts(const EngineOptions& first, const EngineOptions& next, const std::shared_ptr<Losses>& losses, int others) {
  EngineParts parts = parts_for(first);
  parts.open_device = [losses, open = parts.open_device]() -> Result<OpenedDevice> {
    KL_ASSIGN(OpenedDevice opened, open());
    return OpenedDevice{std::make_unique<LosingDevice>(std::move(opened.device), losses), opened.why};
  };
  parts.open_next = [losses, open = parts_for(next).open_device,
                     left = std::make_shared<int>(others)](const DeviceInfo&) -> Result<OpenedDevice> {
    KL_ASSIGN(OpenedDevice opened, open());
    if ((*left)-- <= 0) return opened;
    return OpenedDevice{std::make_unique<LosingDevice>(std::move(opened.device), losses), opened.why};
  };
  return parts;
}

}  // namespace kl
