// mma.sync's fragments against a plain product, and warp intrinsics against their definitions.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/half.h"
#include "cuda/common/mma.cuh"
#include "cuda/common/numbers.cuh"
#include "cuda/common/weights.cuh"
#include "cuda_host/kernels.h"

namespace {

// A [16 K], B [K 8], C [16 8], row by row. Fragments are filled here from the PTX ISA's formulas, element by element.
struct HalfArgs {
  const uint16_t* a;
  const uint16_t* b;
  float* c;
};
KL_KERNEL(tensor__f16, HalfArgs, 32) {
  const uint32_t group = threadIdx.x / 4, in_group = threadIdx.x % 4;
  uint32_t fa[4] = {}, fb[2] = {};
  float fc[4];
  for (uint32_t i = 0; i < 8; ++i) {
    const uint32_t row = (i < 2 || (i >= 4 && i < 6)) ? group : group + 8, column = in_group * 2 + (i & 1u) + (i >= 4 ? 8 : 0);
    fa[i / 2] |= static_cast<uint32_t>(a.a[row * 16 + column]) << (16 * (i & 1u));
  }
  for (uint32_t i = 0; i < 4; ++i)
    fb[i / 2] |= static_cast<uint32_t>(a.b[(in_group * 2 + (i & 1u) + (i >= 2 ? 8 : 0)) * 8 + group]) << (16 * (i & 1u));
  for (uint32_t i = 0; i < 4; ++i) fc[i] = a.c[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1u)];
  kl::cuda::mma_m16n8k16_f16(fc, fa, fb);
  for (uint32_t i = 0; i < 4; ++i) a.c[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1u)] = fc[i];
}

struct ByteArgs {
  const int8_t* a;
  const int8_t* b;
  int32_t* c;
};
KL_KERNEL(tensor__s8, ByteArgs, 32) {
  const uint32_t group = threadIdx.x / 4, in_group = threadIdx.x % 4;
  uint32_t fa[4] = {}, fb[2] = {};
  int32_t fc[4];
  for (uint32_t i = 0; i < 16; ++i) {
    const uint32_t row = (i < 4 || (i >= 8 && i < 12)) ? group : group + 8, column = in_group * 4 + (i & 3u) + (i >= 8 ? 16 : 0);
    fa[i / 4] |= static_cast<uint32_t>(static_cast<uint8_t>(a.a[row * 32 + column])) << (8 * (i & 3u));
  }
  for (uint32_t i = 0; i < 8; ++i)
    fb[i / 4] |= static_cast<uint32_t>(static_cast<uint8_t>(a.b[(in_group * 4 + (i & 3u) + (i >= 4 ? 16 : 0)) * 8 + group]))
                 << (8 * (i & 3u));
  for (uint32_t i = 0; i < 4; ++i) fc[i] = a.c[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1u)];
  kl::cuda::mma_m16n8k32_s8(fc, fa, fb);
  for (uint32_t i = 0; i < 4; ++i) a.c[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1u)] = fc[i];
}
KL_KERNEL(tensor__s8_half, ByteArgs, 32) {  // the first 16 of K
  const uint32_t group = threadIdx.x / 4, in_group = threadIdx.x % 4;
  uint32_t fa[2] = {}, fb[1] = {};
  int32_t fc[4];
  for (uint32_t i = 0; i < 8; ++i)
    fa[i / 4] |= static_cast<uint32_t>(static_cast<uint8_t>(a.a[(i < 4 ? group : group + 8) * 32 + in_group * 4 + (i & 3u)]))
                 << (8 * (i & 3u));
  for (uint32_t i = 0; i < 4; ++i) fb[0] |= static_cast<uint32_t>(static_cast<uint8_t>(a.b[(in_group * 4 + i) * 8 + group])) << (8 * i);
  for (uint32_t i = 0; i < 4; ++i) fc[i] = a.c[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1u)];
  kl::cuda::mma_m16n8k16_s8(fc, fa, fb);
  for (uint32_t i = 0; i < 4; ++i) a.c[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1u)] = fc[i];
}

template <class Args>
std::vector<std::string> launch(const char* kernel, const Args& args) {
  const kl::cuda_host::KernelEntry* entry = kl::cuda_host::find_kernel(kernel);
  return kl::cuda_host::run_launch(entry->name, entry->body, &args, {{1, 1, 1}, {entry->threads, 1, 1}, 0, 3});
}

TEST(CudaTensorCore, HalfProductsAreThoseOfAPlainMatrixProduct) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  uint16_t a[16 * 16], b[16 * 8];
  float c[16 * 8];
  double wanted[16 * 8];
  for (uint16_t& v : a) v = kl::f32_to_f16(normal(random));
  for (uint16_t& v : b) v = kl::f32_to_f16(normal(random));
  for (float& v : c) v = normal(random);
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 8; ++j) {
      wanted[8 * i + j] = static_cast<double>(c[8 * i + j]);
      for (int k = 0; k < 16; ++k)
        wanted[8 * i + j] += static_cast<double>(kl::f16_to_f32(a[16 * i + k])) * static_cast<double>(kl::f16_to_f32(b[8 * k + j]));
    }
  }
  EXPECT_TRUE(launch("tensor__f16", HalfArgs{a, b, c}).empty());
  for (int i = 0; i < 128; ++i) EXPECT_NEAR(static_cast<double>(c[i]), wanted[i], 1e-6 * (1 + std::fabs(wanted[i]))) << i;
}

TEST(CudaTensorCore, ByteProductsAreThoseOfAPlainMatrixProduct) {
  std::mt19937 random(4);
  int8_t a[16 * 32], b[32 * 8];
  for (int8_t& v : a) v = static_cast<int8_t>(random());
  for (int8_t& v : b) v = static_cast<int8_t>(random());
  for (const int depth : {32, 16}) {
    int32_t c[16 * 8], wanted[16 * 8];
    for (int i = 0; i < 128; ++i) c[i] = wanted[i] = static_cast<int32_t>(random() % 1000);
    for (int i = 0; i < 16; ++i) {
      for (int j = 0; j < 8; ++j) {
        for (int k = 0; k < depth; ++k) wanted[8 * i + j] += a[32 * i + k] * b[8 * k + j];
      }
    }
    EXPECT_TRUE(launch(depth == 32 ? "tensor__s8" : "tensor__s8_half", ByteArgs{a, b, c}).empty());
    for (int i = 0; i < 128; ++i) EXPECT_EQ(c[i], wanted[i]) << i << " depth " << depth;
  }
}

struct WarpArgs {
  float* out;  // [6][32]
};
KL_KERNEL(tensor__warp, WarpArgs, 32) {
  const auto lane = static_cast<float>(threadIdx.x);
  a.out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, lane, 5);
  a.out[32 + threadIdx.x] = __shfl_down_sync(0xffffffffu, lane, 3, 8);
  a.out[64 + threadIdx.x] = __shfl_up_sync(0xffffffffu, lane, 2);
  a.out[96 + threadIdx.x] = __shfl_sync(0xffffffffu, lane, 3, 8);
  a.out[128 + threadIdx.x] = static_cast<float>(__ballot_sync(0xffffffffu, threadIdx.x < 5 ? 1 : 0));
  a.out[160 + threadIdx.x] =
      static_cast<float>(10 * __any_sync(0xffffffffu, threadIdx.x == 7 ? 1 : 0) + __all_sync(0xffffffffu, threadIdx.x < 31 ? 1 : 0));
}

TEST(CudaWarp, IntrinsicsAreWhatCudaDefines) {
  float out[6 * 32];
  EXPECT_TRUE(launch("tensor__warp", WarpArgs{out}).empty());
  for (int lane = 0; lane < 32; ++lane) {
    const auto at = [&](int row) { return static_cast<int>(out[32 * row + lane]); };
    EXPECT_EQ(at(0), lane ^ 5);
    EXPECT_EQ(at(1), lane % 8 + 3 < 8 ? lane + 3 : lane);
    EXPECT_EQ(at(2), lane >= 2 ? lane - 2 : lane);
    EXPECT_EQ(at(3), lane / 8 * 8 + 3);
    EXPECT_EQ(at(4), 31);
    EXPECT_EQ(at(5), 10);
  }
}

TEST(CudaNumbers, TablesAreLookedUpByNibble) {
  for (uint32_t code = 0; code < 16; ++code) {
    const uint32_t four = code | (15 - code) << 8 | code << 16 | 5u << 24;
    const uint32_t got = kl::cuda::look_up(four, 0x03020100u, 0x07060504u, 0x0b0a0908u, 0x0f0e0d0cu);
    EXPECT_EQ(got, four);
  }
  EXPECT_EQ(__byte_perm(0x33221100u, 0x77665544u, 0x6420u), 0x66442200u);
  EXPECT_EQ(__byte_perm(0x80u, 0u, 0x0008u), 0x808080ffu);
  EXPECT_EQ(__dp4a(0x01ff80ff, 0x02017f03, 5), 5 + 2 - 1 - 128 * 127 - 3);
}

}  // namespace
