// A decode step's kernels do in one launch what others do in several: the bits are the same, for what the lists of cases do not reach.
#include "cuda/emulated_device.h"
#include "ops/agreement.h"

namespace kl::ops {
namespace {

class CudaDecodeBits : public cuda::OnDevice {
 protected:
  // The case in a bucket of few rows and in one of many.
  void expect_equal(const OpCase& c) {
    Built built = build(c);
    built.config.rows = built.config.outputs = 600;
    cuda_host::machine().seed = 5;
    const auto many = run(*device_, built);
    ASSERT_TRUE(many.ok()) << c.text() << many.status().message();
    built.config.rows = built.config.outputs = 4;
    for (const uint64_t seed : {6u, 7u}) {
      cuda_host::machine().seed = seed;
      const auto few = run(*device_, built);
      ASSERT_TRUE(few.ok()) << c.text() << few.status().message();
      EXPECT_EQ(few->values, many->values) << c.text();
    }
  }
};

// Every weight format, heads that share panels of 16 outputs, every cache format (the case reads the cache back through attention).
TEST_F(CudaDecodeBits, OfQkvInOneLaunchAreThoseOfSeparateLaunches) {
  const char* const weights[] = {"q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_k", "q5_k", "q6_k", "iq4_nl", "mxfp4", "f32", "f16", "bf16"};
  const char* const caches[] = {"f32", "f16", "q8", "q4"};
  size_t turn = 0;
  for (const char* w : weights) {
    const size_t i = turn++;
    expect_equal({.op = "norm_qkv_rope",
                  .keys = {{"T", "3"},
                           {"K", "256"},
                           {"H", "4"},
                           {"G", "2"},
                           {"D", i % 3 == 0   ? "8"
                                 : i % 3 == 1 ? "24"
                                              : "40"},
                           {"w", w},
                           {"act", i % 5 == 4 ? "f32" : "q8"},
                           {"kv", caches[i % 4]},
                           {"rope", i % 2 == 0 ? "halves" : "neighbours"},
                           {"heads", i % 3 == 0 ? "plain" : "normed"},
                           {"bias", i % 2 == 0 ? "yes" : "no"}}});
  }
}

// Four rows of 129 tiles are more than lies in shared memory at a time: inputs go in piece by piece, for gate and for up.
TEST_F(CudaDecodeBits, OfInputsThatDoNotFitSharedMemoryAreTheSame) {
  for (const char* op : {"linear", "norm_gate_up"})
    expect_equal({.op = op, .keys = {{"T", "4"}, {"K", "8256"}, {"N", "20"}, {"w", "q4_1"}, {"act", "q8"}}});
}

}  // namespace
}  // namespace kl::ops
