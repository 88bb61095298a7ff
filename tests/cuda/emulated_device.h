// The device under test: the CUDA backend on the emulated driver, opened once for the whole run. With KINGLET_TEST_CUDA_MODULE=<libkinglet_cuda.so>: that
// module on the machine's own card (scripts/bench_gpu.sh runs the op cases so).
#pragma once
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "cuda/device.h"
#include "cuda_host/driver.h"

namespace kl::cuda {

class DeviceUnderTest final : public testing::Environment {
 public:
  void TearDown() override { device_.reset(); }
  Device* get() {
    if (device_ == nullptr) {
      auto opened = open();
      EXPECT_TRUE(opened.ok()) << opened.status().message();
      if (opened.ok()) device_ = std::move(*opened);
    }
    return device_.get();
  }
  void lose() { device_.reset(); }

 private:
  static Result<std::unique_ptr<Device>> open() {
    const char* path = std::getenv("KINGLET_TEST_CUDA_MODULE");
    if (path == nullptr) return open_cuda({.device = 0, .driver = &cuda_host::driver()});
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return error(Code::not_found, "%s", dlerror());
    using Entry = const BackendModule* (*)();
    const auto entry = reinterpret_cast<Entry>(dlsym(library, "kl_backend_module_cuda"));
    if (entry == nullptr) return error(Code::not_found, "%s has no kl_backend_module_cuda", path);
    return entry()->open({});
  }
  std::unique_ptr<Device> device_;
};

inline DeviceUnderTest& device_under_test() {
  static auto* const environment = static_cast<DeviceUnderTest*>(testing::AddGlobalTestEnvironment(new DeviceUnderTest));
  return *environment;
}

// A kernel that fails a check loses its device: the next test has a new one.
class OnDevice : public testing::Test {
 protected:
  void SetUp() override {
    cuda_host::machine().findings.clear();
    cuda_host::machine().seed = 1;
    device_ = device_under_test().get();
    ASSERT_NE(device_, nullptr);
  }
  void TearDown() override {
    for (const std::string& finding : cuda_host::machine().findings) ADD_FAILURE() << finding;
    if (!cuda_host::machine().findings.empty()) device_under_test().lose();
  }
  Device* device_ = nullptr;
};

}  // namespace kl::cuda
