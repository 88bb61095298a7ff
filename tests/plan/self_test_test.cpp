// The start-up self-test passes what is right and refuses what is wrong.
#include "plan/self_test.h"

#include <gtest/gtest.h>

#include <cstring>

#include "cpu/device.h"

namespace kl {
namespace {

// A device whose packing flips one bit of the weights of one format: what a wrong kernel or a bad driver looks like from outside.
class Liar final : public Device {
 public:
  Liar(std::unique_ptr<Device> inner, Format format) : inner_(std::move(inner)), format_(format) {}
  const DeviceInfo& info() const override { return inner_->info(); }
  Result<std::unique_ptr<Memory>> allocate(uint64_t bytes, MemoryUse use) override { return inner_->allocate(bytes, use); }
  Status copy(const CopyRequest& r) override { return inner_->copy(r); }
  Answer support(const Program& p, const Op& op, const RunConfig& c) const override { return inner_->support(p, op, c); }
  bool reads_host_memory() const override { return inner_->reads_host_memory(); }
  uint64_t packed_bytes(const WeightInfo& w, const std::string& layout) const override { return inner_->packed_bytes(w, layout); }
  Status pack(const PackRequest& r) override {
    KL_TRY(inner_->pack(r));
    if (r.weight.format == format_ && r.weight.n > 1) {
      for (size_t i = 0; i < r.out.size(); i += 3) r.out[i] ^= std::byte{0x08};
    }
    return {};
  }
  uint64_t kv_page_bytes(const KvGroupInfo& g, KvFormat f) const override { return inner_->kv_page_bytes(g, f); }
  ActivationFormat preferred_activations() const override { return inner_->preferred_activations(); }
  KvFormat preferred_kv() const override { return inner_->preferred_kv(); }
  Result<std::unique_ptr<Recording>> record(const Plan& p, const Bindings& b) override { return inner_->record(p, b); }
  Result<Ticket> submit(Recording& r, uint32_t first, uint32_t last) override { return inner_->submit(r, first, last); }
  Status wait(Ticket t, std::chrono::milliseconds timeout) override { return inner_->wait(t, timeout); }

 private:
  std::unique_ptr<Device> inner_;
  Format format_;
};

std::unique_ptr<Device> open(cpu::Isa isa, bool reference) {
  auto device = cpu::open_cpu({.threads = 1, .isa = isa, .reference = reference});
  EXPECT_TRUE(device.ok());
  return std::move(*device);
}

TEST(SelfTest, EveryInstructionSetOfThisMachinePasses) {
  const auto reference = open(cpu::Isa::generic, true);
  for (const cpu::Isa isa : cpu::kIsas) {
    if (!cpu::isa_available(isa)) continue;
    const Status status = self_test(*open(isa, false), *reference);
    EXPECT_TRUE(status.ok()) << cpu::name(isa) << ": " << status.message();
  }
}

TEST(SelfTest, WrongResultsOfAnyFormatAreRefusedByName) {
  const auto reference = open(cpu::Isa::generic, true);
  for (const FormatInfo& format : kFormats) {
    Liar liar(open(cpu::best_isa(), false), format.format);
    const Status status = self_test(liar, *reference);
    EXPECT_FALSE(status.ok()) << format.name;
    EXPECT_NE(status.message().find(format.name), std::string::npos) << status.message();
  }
}

}  // namespace
}  // namespace kl
