// The emulation's checks, each with a kernel that it must catch and, where the two are close, one that it must not.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>

#include "cuda/common/async.cuh"
#include "cuda/common/kernel.cuh"
#include "cuda/context.h"
#include "cuda_host/driver.h"
#include "cuda_host/kernels.h"

namespace {

struct Args {
  const float* x;
  float* y;
};

KL_KERNEL(checks__in_order, Args, 64) {  // neighbours exchange through shared memory, with a barrier
  KL_SHARED(float, tile, 64);
  tile[threadIdx.x] = a.x[threadIdx.x];
  __syncthreads();
  a.y[threadIdx.x] = tile[63 - threadIdx.x];
}
KL_KERNEL(checks__missing_barrier, Args, 64) {
  KL_SHARED(float, tile, 64);
  tile[threadIdx.x] = a.x[threadIdx.x];
  a.y[threadIdx.x] = tile[63 - threadIdx.x];
}
KL_KERNEL(checks__racy, Args, 64) {  // two threads write a byte of one word
  KL_SHARED(uint8_t, bytes, 64);
  bytes[threadIdx.x / 2] = static_cast<uint8_t>(threadIdx.x);
}
KL_KERNEL(checks__write_after_read, Args, 64) {
  KL_SHARED(float, tile, 64);
  tile[threadIdx.x] = 1.0f;
  __syncthreads();
  const float v = tile[63 - threadIdx.x];
  tile[threadIdx.x] = v;  // its reader may not have come yet
}
KL_KERNEL(checks__warp_in_order, Args, 64) {  // within a warp, __syncwarp is enough
  KL_SHARED(float, tile, 64);
  tile[threadIdx.x] = a.x[threadIdx.x];
  __syncwarp();
  a.y[threadIdx.x] = tile[threadIdx.x ^ 1u];
}
KL_KERNEL(checks__warp_is_no_block, Args, 64) {
  KL_SHARED(float, tile, 64);
  tile[threadIdx.x] = a.x[threadIdx.x];
  __syncwarp();
  a.y[threadIdx.x] = tile[threadIdx.x ^ 32u];
}
KL_KERNEL(checks__unwritten, Args, 64) {
  KL_SHARED(float, tile, 64);
  if (threadIdx.x < 32) tile[threadIdx.x] = 1.0f;
  __syncthreads();
  a.y[threadIdx.x] = tile[threadIdx.x];
}
KL_KERNEL(checks__beyond_shared, Args, 64) {
  KL_SHARED(float, tile, 63);
  tile[threadIdx.x] = 1.0f;
}
KL_KERNEL(checks__barrier_not_for_all, Args, 64) {
  if (threadIdx.x < 40) __syncthreads();
}
KL_KERNEL(checks__two_barriers, Args, 64) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}
KL_KERNEL(checks__named_barriers, Args, 128) {  // two halves of the block, each with a barrier of its own
  KL_SHARED(float, tile, 128);
  const uint32_t half = threadIdx.x / 64;
  tile[threadIdx.x] = a.x[threadIdx.x % 64];
  kl::cuda::named_barrier(1 + half, 64);
  a.y[threadIdx.x % 64] = tile[half * 64 + 63 - threadIdx.x % 64];
}
KL_KERNEL(checks__named_barrier_crossed, Args, 128) {  // ... which says nothing about the other half
  KL_SHARED(float, tile, 128);
  tile[threadIdx.x] = a.x[threadIdx.x % 64];
  kl::cuda::named_barrier(1 + threadIdx.x / 64, 64);
  a.y[threadIdx.x % 64] = tile[127 - threadIdx.x];
}
KL_KERNEL(checks__lane_missing, Args, 32) {
  if (threadIdx.x != 5) (void)__shfl_xor_sync(0xffffffffu, 1, 1);
}
KL_KERNEL(checks__masks_differ, Args, 32) { (void)__shfl_xor_sync(threadIdx.x < 16 ? 0xffffffffu : 0xffff0000u, 1, 1); }
KL_KERNEL(checks__part_of_a_warp, Args, 32) {
  a.y[threadIdx.x] = 0;
  if (threadIdx.x < 16) a.y[threadIdx.x] = __shfl_sync(0xffffu, a.x[threadIdx.x], 15 - static_cast<int>(threadIdx.x));
}
KL_KERNEL(checks__from_a_lane_outside, Args, 32) {
  if (threadIdx.x < 16) a.y[threadIdx.x] = __shfl_sync(0xffffu, 1.0f, 20);
}
KL_KERNEL(checks__beyond_global, Args, 64) { a.y[threadIdx.x + 64] = 1.0f; }

// Blocks that count themselves in: y[64] is the counter of `blocks`.
template <bool kBefore, bool kBehind, uint32_t kExpected>
void count_blocks(const Args& a) {
  auto* counter = reinterpret_cast<unsigned*>(a.y + 64);
  __syncthreads();
  if (threadIdx.x != 0) return;
  if (kBefore) __threadfence();
  const bool last = atomicInc(counter, kExpected - 1) == kExpected - 1;
  if (kBehind) __threadfence();
  if (last) a.y[0] = a.y[0] + 1.0f;
}
KL_KERNEL(checks__counted, Args, 64) { count_blocks<true, true, 1>(a); }
KL_KERNEL(checks__no_fence_before, Args, 64) { count_blocks<false, true, 1>(a); }
KL_KERNEL(checks__no_fence_behind, Args, 64) { count_blocks<true, false, 1>(a); }
KL_KERNEL(checks__counts_three, Args, 64) { count_blocks<true, true, 3>(a); }

KL_KERNEL(checks__dynamic, Args, 64) {  // the second half of what was asked for, as other words
  KL_DYNAMIC_SHARED(uint4, all);
  const kl::cuda::SharedPointer<float> tile = kl::cuda::shared_as<float>(all + 16);
  tile[threadIdx.x] = a.x[threadIdx.x];
  __syncthreads();
  a.y[threadIdx.x] = tile[63 - threadIdx.x];
}

template <bool kCommit, bool kWait, bool kBarrier>
void async_tile(const Args& a) {
  KL_SHARED(float, tile, 64);
  if (threadIdx.x < 16) kl::cuda::copy_async_16(tile + 4 * threadIdx.x, a.x + 4 * threadIdx.x);
  if (kCommit) kl::cuda::copy_async_commit();
  if (kWait) kl::cuda::copy_async_wait<0>();
  if (kBarrier) __syncthreads();
  a.y[threadIdx.x] = tile[threadIdx.x];
  kl::cuda::copy_async_commit();
  kl::cuda::copy_async_wait<0>();
}
KL_KERNEL(checks__async, Args, 64) { async_tile<true, true, true>(a); }
KL_KERNEL(checks__async_unwaited, Args, 64) { async_tile<true, false, true>(a); }
KL_KERNEL(checks__async_uncommitted, Args, 64) { async_tile<false, true, true>(a); }
KL_KERNEL(checks__async_no_barrier, Args, 64) { async_tile<true, true, false>(a); }
KL_KERNEL(checks__async_forgotten, Args, 64) {
  KL_SHARED(float, tile, 64);
  if (threadIdx.x < 16) kl::cuda::copy_async_16(tile + 4 * threadIdx.x, a.x + 4 * threadIdx.x);
}

// Launches that begin before the one before has ended: x may be read then, y may not.
KL_KERNEL_AHEAD(checks__ahead, Args, 64, 1) {
  KL_SHARED(float, tile, 64);
  tile[threadIdx.x] = a.x[threadIdx.x];
  __syncthreads();
  const float x = tile[63 - threadIdx.x];
  kl::cuda::wait_for_launches_before();
  a.y[threadIdx.x] = a.y[threadIdx.x] + x;
}
KL_KERNEL_AHEAD(checks__reads_ahead, Args, 64, 1) {
  const float y = a.y[threadIdx.x];
  kl::cuda::wait_for_launches_before();
  a.y[threadIdx.x] = y + a.x[threadIdx.x];
}
KL_KERNEL_AHEAD(checks__writes_ahead, Args, 64, 1) {
  a.y[threadIdx.x] = 1.0f;
  kl::cuda::wait_for_launches_before();
}
KL_KERNEL_AHEAD(checks__waits_in_part, Args, 64, 1) {
  if (blockIdx.x == 1) return;
  kl::cuda::wait_for_launches_before();
}

struct Data {
  alignas(16) float x[64] = {}, y[68] = {};
  Data() {
    for (int i = 0; i < 64; ++i) x[i] = static_cast<float>(i + 1);
  }
};

std::vector<std::string> launch(const std::string& kernel, Data& data, uint64_t seed = 1, unsigned blocks = 2) {
  const kl::cuda_host::KernelEntry* entry = kl::cuda_host::find_kernel("checks__" + kernel);
  if (entry == nullptr) return {"no such kernel"};
  const Args args{data.x, data.y};
  return kl::cuda_host::run_launch(entry->name, entry->body, &args, {{blocks, 1, 1}, {entry->threads, 1, 1}, 0, seed});
}

TEST(CudaChecks, KernelsInOrderPassInEveryOrderOfThreads) {
  for (uint64_t seed = 1; seed < 50; ++seed) {
    for (const char* kernel : {"in_order", "warp_in_order", "named_barriers", "part_of_a_warp", "async", "counted"}) {
      Data data;
      EXPECT_EQ(launch(kernel, data, seed), std::vector<std::string>()) << kernel;
      EXPECT_NE(data.y[0], 0.0f) << kernel;
    }
  }
  Data data;
  EXPECT_TRUE(launch("async", data).empty());
  EXPECT_TRUE(std::equal(data.x, data.x + 64, data.y));
}

// One of three does it, whichever comes last, and the next launch finds the counter as the first did.
TEST(CudaChecks, BlocksThatCountThemselvesInLeaveNoTrace) {
  Data data;
  for (uint64_t seed = 1; seed < 10; ++seed) {
    EXPECT_EQ(launch("counts_three", data, seed, 3), std::vector<std::string>());
    EXPECT_EQ(data.y[0], static_cast<float>(seed));
    EXPECT_EQ(data.y[64], 0.0f);
  }
}

TEST(CudaChecks, DynamicSharedMemoryIsAsLargeAsTheLaunchSays) {
  const kl::cuda_host::KernelEntry* entry = kl::cuda_host::find_kernel("checks__dynamic");
  Data data;
  const Args args{data.x, data.y};
  EXPECT_EQ(kl::cuda_host::run_launch(entry->name, entry->body, &args, {{1, 1, 1}, {64, 1, 1}, 512, 1}), std::vector<std::string>());
  EXPECT_EQ(data.y[0], 64.0f);
  const auto found = kl::cuda_host::run_launch(entry->name, entry->body, &args, {{1, 1, 1}, {64, 1, 1}, 508, 1});
  ASSERT_FALSE(found.empty());
  EXPECT_NE(found[0].find("dynamic memory has 508 bytes"), std::string::npos) << found[0];
}

struct Bad {
  const char* kernel;
  const char* finding;  // what it must say
};

class CudaChecksCatch : public testing::TestWithParam<Bad> {};

// In whatever order threads run, and the next launch is not disturbed.
TEST_P(CudaChecksCatch, TheMistake) {
  for (uint64_t seed = 1; seed < 20; ++seed) {
    Data data;
    const std::vector<std::string> found = launch(GetParam().kernel, data, seed, 1);
    ASSERT_FALSE(found.empty()) << "seed " << seed;
    EXPECT_NE(found[0].find(GetParam().finding), std::string::npos) << found[0];
    EXPECT_NE(found[0].find("[checks__" + std::string(GetParam().kernel) + ", block (0,0,0)]"), std::string::npos) << found[0];
    EXPECT_TRUE(launch("in_order", data).empty());
  }
}

INSTANTIATE_TEST_SUITE_P(All, CudaChecksCatch,
                         testing::Values(Bad{"missing_barrier", "shared tile"}, Bad{"racy", "race on shared bytes byte"},
                                         Bad{"write_after_read", "race on shared tile"}, Bad{"warp_is_no_block", "shared tile"},
                                         Bad{"unwritten", "was never written"}, Bad{"beyond_shared", "has 252 bytes"},
                                         Bad{"barrier_not_for_all", "40 of 64 wait, 24 have ended"},
                                         Bad{"two_barriers", "divergence at a barrier"}, Bad{"named_barrier_crossed", "shared tile"},
                                         Bad{"lane_missing", "31 of 32 wait"}, Bad{"masks_differ", "disagree about a mask"},
                                         Bad{"from_a_lane_outside", "from lane 20"}, Bad{"async_unwaited", "before the cp.async"},
                                         Bad{"async_uncommitted", "before the cp.async"}, Bad{"async_no_barrier", "shared tile"},
                                         Bad{"async_forgotten", "never waited for"}, Bad{"no_fence_before", "without a fence before it"},
                                         Bad{"no_fence_behind", "without a fence behind it"}, Bad{"counts_three", "is left at 1"}),
                         [](const auto& each) { return each.param.kernel; });

// On the emulated driver, which knows what kernels write: the launch before has written y.
TEST(CudaChecks, WhatALaunchTouchesBeforeItWaitsIsSeen) {
  using namespace kl;
  struct Case {
    const char* kernel;
    const char* finding;  // null: none
  };
  const Case cases[] = {{"ahead", nullptr},
                        {"in_order", nullptr},
                        {"reads_ahead", "before it has waited"},
                        {"writes_ahead", "before it has waited"},
                        {"waits_in_part", "ended without having waited"}};
  for (const Case& c : cases) {
    const Result<std::shared_ptr<cuda::Context>> opened = cuda::Context::open(cuda_host::driver(), 0);
    ASSERT_TRUE(opened.ok());
    cuda::Context& context = **opened;
    const cuda::Context::Use use(context);
    const cuda::Driver& driver = context.driver();
    cuda::DevicePointer x = 0, y = 0;
    ASSERT_EQ(driver.memory_allocate(&x, 256), 0);
    ASSERT_EQ(driver.memory_allocate(&y, 256), 0);
    const Data data;
    for (const cuda::DevicePointer to : {x, y}) ASSERT_EQ(driver.copy_to_device(to, data.x, 256, context.stream()), 0);
    cuda::Graph graph = nullptr;
    ASSERT_EQ(driver.graph_create(&graph, 0), 0);
    cuda::GraphNode nodes[2] = {};
    const char* const kernels[2] = {"in_order", c.kernel};
    cuda::Module module = nullptr;
    ASSERT_EQ(driver.module_load(&module, "checks"), 0);
    for (int i = 0; i < 2; ++i) {
      Args args{reinterpret_cast<const float*>(x), reinterpret_cast<float*>(y)};  // NOLINT(performance-no-int-to-ptr)
      void* argument = &args;
      cuda::KernelNodeParams params{};
      ASSERT_EQ(driver.module_function(&params.function, module, (std::string("kl_checks__") + kernels[i]).c_str()), 0);
      params.grid_x = 2;
      params.grid_y = params.grid_z = params.block_y = params.block_z = 1;
      params.block_x = 64;
      params.params = &argument;
      ASSERT_EQ(driver.graph_add_kernel(&nodes[i], graph, nullptr, 0, &params), 0);
    }
    const cuda::GraphEdge edge = {cuda::kPortProgrammatic, 0, cuda::kEdgeProgrammatic, {}};
    ASSERT_EQ(driver.graph_add_dependencies(graph, &nodes[0], &nodes[1], &edge, 1), 0);
    cuda::GraphExec exec = nullptr;
    ASSERT_EQ(driver.graph_instantiate(&exec, graph, 0), 0);
    ASSERT_EQ(driver.graph_launch(exec, context.stream()), 0);
    EXPECT_EQ(context.finish().ok(), c.finding == nullptr) << c.kernel;
    std::vector<std::string>& findings = cuda_host::machine().findings;
    EXPECT_EQ(findings.empty(), c.finding == nullptr) << c.kernel;
    if (c.finding != nullptr && !findings.empty()) {
      EXPECT_NE(findings[0].find(c.finding), std::string::npos) << findings[0];
    }
    findings.clear();
    (void)driver.graph_exec_destroy(exec);
    (void)driver.graph_destroy(graph);
    (void)driver.module_unload(module);
    (void)driver.memory_free(x);
    (void)driver.memory_free(y);
  }
}

TEST(CudaChecks, AnAccessOutsideAllMemoryEndsTheLaunchAndNothingElse) {
  auto* page = static_cast<float*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(page, MAP_FAILED);
  mprotect(page + 1024, 4096, PROT_NONE);
  const kl::cuda_host::KernelEntry* entry = kl::cuda_host::find_kernel("checks__beyond_global");
  const Args args{page, page + 1024 - 64};
  for (int i = 0; i < 3; ++i) {
    const auto found = kl::cuda_host::run_launch(entry->name, entry->body, &args, {{1, 1, 1}, {64, 1, 1}, 0, 1});
    ASSERT_FALSE(found.empty());
    EXPECT_EQ(found[0].rfind(kl::cuda_host::kIllegalAddress, 0), 0U) << found[0];
    Data data;
    EXPECT_TRUE(launch("in_order", data).empty());
  }
  munmap(page, 8192);
}

}  // namespace
