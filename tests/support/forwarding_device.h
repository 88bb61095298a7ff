// A device that passes everything on to another one: the base of those that change or note one thing.
#pragma once
#include <memory>

#include "backend/device.h"

namespace kl {

class ForwardingDevice : public Device {
 public:
  explicit ForwardingDevice(Device& inner) : inner_(&inner) {}
  explicit ForwardingDevice(std::unique_ptr<Device> inner) : inner_(inner.get()), own_(std::move(inner)) {}

  const DeviceInfo& info() const override { return inner_->info(); }
  Result<std::unique_ptr<Memory>> allocate(uint64_t bytes, MemoryUse use) override { return inner_->allocate(bytes, use); }
  Status copy(const CopyRequest& request) override { return inner_->copy(request); }
  bool reads_host_memory() const override { return inner_->reads_host_memory(); }
  KernelWork kernel_work() const override { return inner_->kernel_work(); }
  Answer support(const Program& p, const Op& op, const RunConfig& c) const override { return inner_->support(p, op, c); }
  uint64_t packed_bytes(const WeightInfo& w, const std::string& layout) const override { return inner_->packed_bytes(w, layout); }
  Status pack(const PackRequest& request) override { return inner_->pack(request); }
  uint64_t kv_page_bytes(const KvGroupInfo& g, KvFormat format) const override { return inner_->kv_page_bytes(g, format); }
  ActivationFormat preferred_activations() const override { return inner_->preferred_activations(); }
  KvFormat preferred_kv() const override { return inner_->preferred_kv(); }
  Result<std::unique_ptr<Recording>> record(const Plan& plan, const Bindings& bindings) override { return inner_->record(plan, bindings); }
  Result<Ticket> submit(Recording& recording, uint32_t first, uint32_t last) override { return inner_->submit(recording, first, last); }
  Status wait(Ticket ticket, std::chrono::milliseconds timeout) override { return inner_->wait(ticket, timeout); }

 protected:
  Device* inner_;

 private:
  std::unique_ptr<Device> own_;  // null: the test's
};

}  // namespace kl
