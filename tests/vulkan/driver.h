// The device under test: the first that the loader offers (VK_DRIVER_FILES chooses a driver), opened once for the whole run.
#pragma once
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "vulkan/device.h"

namespace kl::vulkan {

// Closed before the process ends its drivers.
class DeviceUnderTest final : public testing::Environment {
 public:
  explicit DeviceUnderTest(bool hide_memory) : hide_memory_(hide_memory) {}
  void TearDown() override { device_.reset(); }

  // Null without a driver.
  Device* get() {
    if (tried_) return device_.get();
    tried_ = true;
    auto opened = open_vulkan({.device = 0, .cache_dir = {}, .hide_memory = hide_memory_});
    if (opened.ok()) {
      device_ = std::move(*opened);
      return device_.get();
    }
    EXPECT_EQ(opened.status().code(), Code::not_found) << opened.status().message();
    EXPECT_EQ(std::getenv("KL_TEST_NEEDS_VULKAN"), nullptr) << "a stage that brings a driver wants it used";
    std::printf("no Vulkan device: %s\n", opened.status().message().c_str());
    return nullptr;
  }

 private:
  bool hide_memory_, tried_ = false;
  std::unique_ptr<Device> device_;
};

// hide_memory: a second one whose memory the host cannot address, as on a discrete GPU.
inline Device* device_under_test(bool hide_memory = false) {
  static auto* const plain = static_cast<DeviceUnderTest*>(testing::AddGlobalTestEnvironment(new DeviceUnderTest(false)));
  static auto* const hidden = static_cast<DeviceUnderTest*>(testing::AddGlobalTestEnvironment(new DeviceUnderTest(true)));
  return (hide_memory ? hidden : plain)->get();
}

#define KL_VULKAN_OR_SKIP(name, ...)                                   \
  kl::Device* const name = kl::vulkan::device_under_test(__VA_ARGS__); \
  if (name == nullptr) GTEST_SKIP() << "no Vulkan driver on this machine"

}  // namespace kl::vulkan
