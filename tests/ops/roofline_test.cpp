// The measured limits: what can be said of them without depending on how fast or busy the machine is.
#include "cpu/roofline.h"

#include <gtest/gtest.h>

#include "ops/kernels_oracle.h"

namespace kl::cpu {
namespace {

TEST(Roofline, MeasuresEveryAvailableInstructionSetOnSeveralThreads) {
  for (const Isa isa : oracle::isas()) {
    const auto limits = measure_roofline(isa, 2, {size_t{8} << 20, 0.001});
    ASSERT_TRUE(limits.ok()) << limits.status().message();
    EXPECT_EQ(limits->isa, isa);
    EXPECT_EQ(limits->threads, 2u);
    for (const double rate : {limits->read_bytes_per_second, limits->dot_macs_per_second, limits->fma_macs_per_second}) {
      EXPECT_GT(rate, 1e5) << name(isa);
      EXPECT_LT(rate, 1e15) << name(isa) << ": the loop was optimised away";
    }
  }
}

TEST(Roofline, RefusesWhatCannotBeMeasured) {
  EXPECT_EQ(measure_roofline(Isa::generic, 0).status().code(), Code::invalid_argument);
  EXPECT_EQ(measure_roofline(Isa::generic, 4, {size_t{4} << 20, 0.001}).status().code(), Code::invalid_argument);
  for (const Isa isa : kIsas) {
    if (isa_available(isa)) continue;
    EXPECT_EQ(measure_roofline(isa, 1).status().code(), Code::invalid_argument) << name(isa);
  }
}

}  // namespace
}  // namespace kl::cpu
