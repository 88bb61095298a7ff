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
    for (const uint32_t bucket : {2u, 8u}) {  // dp4a, and tensor cores
      built.config.rows = built.config.outputs = bucket;
      for (const uint64_t seed : {6u, 7u}) {
        cuda_host::machine().seed = seed;
        const auto few = run(*device_, built);
        ASSERT_TRUE(few.ok()) << c.text() << few.status().message();
        EXPECT_EQ(few->values, many->values) << c.text() << " in a bucket of " << bucket;
      }
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
                  .keys = {{"T", "2"},
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

// Two or eight rows of 257 tiles are more than lies in shared memory at a time: inputs go in piece by piece, for gate and for up.
TEST_F(CudaDecodeBits, OfInputsThatDoNotFitSharedMemoryAreTheSame) {
  for (const char* op : {"linear", "norm_gate_up"})
    expect_equal({.op = op, .keys = {{"T", "2"}, {"K", "16448"}, {"N", "20"}, {"w", "q4_1"}, {"act", "q8"}}});
}

// Products that share a block with others, whose rows are fewer than it multiplies, on a card without tensor cores for bytes: the same. N = 200 are 13 panels, in blocks of
// two.
TEST_F(CudaDecodeBits, OfACardWithoutTensorCoresAreTheSame) {
  std::vector<std::vector<float>> results[2];
  for (const int major : {7, 9}) {
    cuda_host::machine().gpus.at(0) = {.major = major, .minor = major == 7 ? 5 : 0};
    cuda::device_under_test().lose();
    device_ = cuda::device_under_test().get();
    ASSERT_NE(device_, nullptr);
    for (const char* op : {"linear", "norm_gate_up", "linear_norm_add"}) {
      for (const char* w : {"q4_k", "q6_k", "iq4_nl"}) {
        Built built = build({.op = op, .keys = {{"T", "7"}, {"K", "512"}, {"N", "200"}, {"w", w}, {"act", "q8"}}});
        built.config.rows = built.config.outputs = 8;
        const auto got = run(*device_, built);
        ASSERT_TRUE(got.ok()) << got.status().message();
        EXPECT_NE(got->kernel.find(major == 7 ? ".row" : ".eight"), std::string::npos) << got->kernel;
        results[major == 7 ? 0 : 1].push_back(got->values);
      }
    }
  }
  EXPECT_EQ(results[0], results[1]);
  cuda_host::machine().gpus.at(0) = {};
  cuda::device_under_test().lose();
}

// The norm of a product in its own launch, by the last block of it, is that of a launch of its own.
TEST_F(CudaDecodeBits, OfANormedProductAreThoseOfSeparateLaunches) {
  for (const char* w : {"q4_0", "q6_k", "f16"})
    expect_equal({.op = "linear_norm_add", .keys = {{"T", "2"}, {"K", "256"}, {"N", "600"}, {"w", w}, {"act", "q8"}}});
}

}  // namespace
}  // namespace kl::ops
