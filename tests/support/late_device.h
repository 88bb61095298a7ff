// A CPU device that behaves as one beside the host: what is submitted is computed when somebody waits for it, or for what was submitted behind it. Whatever the host
// changes too early (parameters of a step, what a step left) changes what is computed.
#pragma once
#include <deque>

#include "engine/engine.h"
#include "support/forwarding_device.h"

namespace kl {

class LateDevice final : public ForwardingDevice {
 public:
  explicit LateDevice(std::unique_ptr<Device> inner) : ForwardingDevice(std::move(inner)), info_(inner_->info()) {
    info_.asynchronous = true;
  }

  const DeviceInfo& info() const override { return info_; }
  Status copy(const CopyRequest& request) override {
    KL_TRY(run_to(next_));
    return inner_->copy(request);
  }
  Result<Ticket> submit(Recording& recording, uint32_t first, uint32_t last) override {
    waiting_.push_back({&recording, first, last});
    return ++next_;
  }
  Status wait(Ticket ticket, std::chrono::milliseconds) override {
    if (ticket == 0 || ticket > next_) return error(Code::internal, "there is no submission %llu", static_cast<unsigned long long>(ticket));
    return run_to(ticket);
  }

 private:
  struct Work {
    Recording* recording;
    uint32_t first, last;
  };
  Status run_to(Ticket ticket) {
    for (; done_ < ticket; ++done_) {
      const Work work = waiting_.front();
      waiting_.pop_front();
      KL_ASSIGN(const Ticket inner, inner_->submit(*work.recording, work.first, work.last));
      KL_TRY(inner_->wait(inner, std::chrono::milliseconds(60000)));
    }
    return {};
  }

  DeviceInfo info_;
  std::deque<Work> waiting_;
  Ticket next_ = 0, done_ = 0;
};

}  // namespace kl
