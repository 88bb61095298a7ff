// The start-up self-test passes what is right and refuses what is wrong.
#include "plan/self_test.h"

#include <gtest/gtest.h>

#include <cstring>

#include "cpu/device.h"
#include "support/forwarding_device.h"

namespace kl {
namespace {

// A device whose packing flips one bit of the weights of one format: what a wrong kernel or a bad driver looks like from outside.
class Liar final : public ForwardingDevice {
 public:
  Liar(std::unique_ptr<Device> inner, Format format) : ForwardingDevice(std::move(inner)), format_(format) {}
  Status pack(const PackRequest& r) override {
    KL_TRY(inner_->pack(r));
    if (r.weight.format == format_ && r.weight.n > 1) {
      for (size_t i = 0; i < r.out.size(); i += 3) r.out[i] ^= std::byte{0x08};
    }
    return {};
  }

 private:
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
