// How the backend lists, chooses, refuses and loses devices.
#include <dlfcn.h>

#include <cstring>
#include <filesystem>

#include "core/formats.h"
#include "cpu/device.h"
#include "cuda/emulated_device.h"
#include "cuda_host/block.h"
#include "ops/op_case.h"
#include "plan/self_test.h"

namespace kl::cuda {
namespace {

using cuda_host::machine;

class CudaMachine : public testing::Test {
 protected:
  void SetUp() override {
    device_under_test().lose();  // its memory is the machine's too
    machine() = cuda_host::Machine{};
  }
  void TearDown() override { machine() = cuda_host::Machine{}; }
  static Result<std::unique_ptr<Device>> open(uint32_t number = 0) { return open_cuda({.device = number, .driver = &cuda_host::driver()}); }
  static ops::Built small() { return ops::build({"linear", {{"T", "2"}, {"K", "64"}, {"N", "33"}, {"w", "q4_0"}, {"act", "q8"}}}); }
};

TEST_F(CudaMachine, DevicesAreListedTheStrongestFirst) {
  machine().gpus = {{.name = "small", .multiprocessors = 10},
                    {.name = "large", .multiprocessors = 80},
                    {.name = "built in", .multiprocessors = 20, .integrated = 1}};
  const auto devices = list_cuda(&cuda_host::driver());
  ASSERT_TRUE(devices.ok());
  ASSERT_EQ(devices->size(), 3U);
  EXPECT_EQ((*devices)[0].info.name, "large");
  EXPECT_EQ((*devices)[1].info.name, "built in");
  EXPECT_FALSE((*devices)[1].fast);
  EXPECT_TRUE((*devices)[0].fast);
  EXPECT_NE((*devices)[0].info.tier.find("sm_90"), std::string::npos) << (*devices)[0].info.tier;
  const auto opened = open();
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ((*opened)->info().name, "large");
  const Status none = open(3).status();
  EXPECT_EQ(none.code(), Code::not_found);
  EXPECT_NE(none.message().find("there are 3 CUDA devices"), std::string::npos) << none.message();
}

// Launches that wait for one launch may begin before it has ended, on cards and drivers that have that; elsewhere the plan runs with plain edges.
TEST_F(CudaMachine, LaunchesBeginEarlyWhereCardAndDriverCan) {
  struct Case {
    cuda_host::EmulatedGpu gpu;
    bool driver;
    bool early;
  };
  const Case cases[] = {
      {{.major = 9, .minor = 0}, true, true}, {{.major = 9, .minor = 0}, false, false}, {{.major = 8, .minor = 9}, true, false}};
  std::vector<float> values;
  for (const Case& c : cases) {
    machine() = cuda_host::Machine{};
    machine().gpus = {c.gpu};
    machine().programmatic = c.driver;
    const auto device = open();
    ASSERT_TRUE(device.ok());
    const bool says = list_cuda(&cuda_host::driver())->front().info.tier.find("programmatic launches") != std::string::npos;
    EXPECT_EQ(says, c.gpu.major >= 9);
    const auto run = ops::run(**device, small());
    ASSERT_TRUE(run.ok()) << run.status().message();
    EXPECT_EQ(machine().ahead > 0, c.early);
    EXPECT_TRUE(machine().findings.empty()) << machine().findings.front();
    if (values.empty()) values = run->values;
    EXPECT_EQ(run->values, values);
  }
}

TEST_F(CudaMachine, OnesThatCannotRunUsAreNotListedAndTheReasonIsSaid) {
  machine().gpus = {{.name = "old one", .major = 7, .minor = 0}, {.name = "locked one", .compute_mode = kComputeModeProhibited}};
  const Status status = list_cuda(&cuda_host::driver()).status();
  EXPECT_EQ(status.code(), Code::not_found);
  EXPECT_NE(status.message().find("old one: compute capability 7.0"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("locked one"), std::string::npos) << status.message();
  machine().gpus.clear();
  EXPECT_EQ(list_cuda(&cuda_host::driver()).status().code(), Code::not_found);
}

TEST_F(CudaMachine, WhatDoesNotFitIsRefusedWithTheSizesAndTheDeviceGoesOn) {
  const auto device = open();
  ASSERT_TRUE(device.ok());
  const auto memory = (*device)->allocate(uint64_t{1} << 50, MemoryUse::weights);
  ASSERT_FALSE(memory.ok());
  EXPECT_EQ(memory.status().code(), Code::out_of_memory);
  EXPECT_NE(memory.status().message().find("1,125,899,906,842,624"), std::string::npos) << memory.status().message();
  EXPECT_TRUE((*device)->allocate(1000, MemoryUse::weights).ok());
}

TEST_F(CudaMachine, ReleasesAllThatItTook) {
  {
    const auto device = open();
    ASSERT_TRUE(device.ok());
    const auto result = ops::run(**device, small());
    ASSERT_TRUE(result.ok()) << result.status().message();
    EXPECT_GT(machine().launches, 0U);
  }
  EXPECT_EQ(machine().allocations, 0U);
  EXPECT_EQ(machine().contexts, 0U);
  EXPECT_EQ(machine().graphs, 0U);
}

TEST_F(CudaMachine, EveryFailingCallIsAnErrorThatNamesIt) {
  for (const char* call : {"cuCtxCreate_v2", "cuStreamCreate", "cuEventCreate", "cuMemHostAlloc", "cuMemAlloc_v2", "cuMemcpyHtoDAsync_v2",
                           "cuMemcpyDtoHAsync_v2", "cuModuleLoadData", "cuModuleGetFunction", "cuGraphCreate", "cuGraphAddKernelNode_v2",
                           "cuGraphInstantiateWithFlags", "cuGraphLaunch", "cuEventRecord", "cuEventQuery"}) {
    for (const int code : {int{kCudaInvalidValue}, int{kCudaOutOfMemory}, int{kCudaIllegalAddress}}) {
      machine().fail_call = call;
      machine().fail_code = code;
      const auto device = open();
      const Status status = device.ok() ? ops::run(**device, small()).status() : device.status();
      ASSERT_TRUE(machine().fail_call.empty()) << call << " was not called";
      EXPECT_EQ(status.code(), code == kCudaInvalidValue  ? Code::internal
                               : code == kCudaOutOfMemory ? Code::out_of_memory
                                                          : Code::device_lost)
          << call << ": " << status.message();
      if (!device.ok() || code != kCudaIllegalAddress) continue;
      EXPECT_EQ((*device)->allocate(100, MemoryUse::kv).status().code(), Code::device_lost) << call;  // for good
      EXPECT_EQ((*device)->copy({}).code(), Code::device_lost) << call;
    }
  }
}

TEST_F(CudaMachine, OneThatDoesNotFinishInTimeIsAbandonedAndNothingIsFreedUnderIt) {
  const auto other = open();
  {
    auto device = open();
    ASSERT_TRUE(device.ok() && other.ok());
    const auto memory = (*device)->allocate(1000, MemoryUse::kv);
    const uint64_t held = machine().allocations;
    CopyRequest request;
    std::vector<std::byte> bytes(100);
    request.to = memory->get();
    request.from_host = bytes.data();
    request.bytes = bytes.size();
    ASSERT_TRUE((*device)->copy(request).ok());
    const ops::Built built = small();
    machine().hangs = true;
    const auto result = ops::run(**device, built, 1, std::chrono::milliseconds(1));
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.status().code(), Code::device_lost) << result.status().message();
    EXPECT_EQ((*device)->wait(1, std::chrono::milliseconds(0)).code(), Code::device_lost);
    EXPECT_GE(machine().allocations, held);
  }
  machine().hangs = false;
  EXPECT_TRUE(ops::run(**other, small()).ok()) << "another device of the process goes on";
}

TEST_F(CudaMachine, CopiesOutsideAMemoryAreRefused) {
  const auto device = open();
  const auto memory = (*device)->allocate(100, MemoryUse::kv);
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ((*memory)->host(), nullptr);
  std::vector<std::byte> bytes(60);
  CopyRequest request;
  request.to = memory->get();
  request.to_offset = 50;
  request.from_host = bytes.data();
  request.bytes = bytes.size();
  EXPECT_EQ((*device)->copy(request).code(), Code::internal);
}

TEST_F(CudaMachine, CopiesReachEveryByteInBothDirectionsAndBetweenMemories) {
  const auto device = open();
  constexpr size_t kBytes = (size_t{17} << 20) + 3;  // more than two pieces of the staging memory
  const auto a = (*device)->allocate(kBytes, MemoryUse::kv), b = (*device)->allocate(kBytes, MemoryUse::kv);
  ASSERT_TRUE(a.ok() && b.ok());
  std::vector<std::byte> out(kBytes), in(kBytes);
  for (size_t i = 0; i < kBytes; ++i) out[i] = static_cast<std::byte>(i * 7 + i / 4096);
  CopyRequest up, across, down;
  up.to = a->get(), up.from_host = out.data(), up.bytes = kBytes;
  across.to = b->get(), across.from = a->get(), across.bytes = kBytes;
  down.from = b->get(), down.to_host = in.data(), down.bytes = kBytes;
  ASSERT_TRUE((*device)->copy(up).ok() && (*device)->copy(across).ok() && (*device)->copy(down).ok());
  EXPECT_EQ(in, out);
}

// A segment is captured once: the second step makes no graph.
TEST_F(CudaMachine, AGraphIsMadeOnceAndLaunchedForEveryStep) {
  const auto device = open();
  const auto result = ops::run(**device, small(), 5);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(machine().launches % 5, 0U);
  EXPECT_EQ(machine().graphs, 0U) << "they are gone with the recording";
}

TEST(CudaModule, OfThisBuildLoadsWithoutADriverAndSaysWhatIsMissing) {
#if defined(KL_CUDA_MODULE)
  if (!std::filesystem::exists(KL_CUDA_MODULE)) GTEST_SKIP() << "the CUDA module is not built yet";
  void* library = dlopen(KL_CUDA_MODULE, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  void* function = dlsym(library, "kl_backend_module_cuda");
  ASSERT_NE(function, nullptr);
  const BackendModule* (*get)() = nullptr;
  std::memcpy(&get, &function, sizeof get);
  const BackendModule* module = get();
  EXPECT_STREQ(module->stamp, kBackendStamp);
  const auto devices = module->list();
  EXPECT_TRUE(devices.ok() || devices.status().code() == Code::not_found) << devices.status().message();
#else
  GTEST_SKIP() << "the CUDA module is not built (KINGLET_CUDA, nvcc)";
#endif
}

}  // namespace
}  // namespace kl::cuda
