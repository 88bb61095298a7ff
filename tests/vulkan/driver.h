// The device under test: the first that the loader offers (VK_DRIVER_FILES chooses a driver), opened once for the whole run.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "vulkan/device.h"

namespace kl::vulkan {

// Null without a driver: the test says so and is skipped. With hide_memory, a second one that treats the host like a discrete GPU's.
inline Device* device_under_test(bool hide_memory = false) {
  static std::unique_ptr<Device> held[2];
  static bool tried[2] = {false, false};
  if (!tried[hide_memory ? 1 : 0]) {
    tried[hide_memory ? 1 : 0] = true;
    auto opened = open_vulkan({.device = 0, .cache_dir = {}, .hide_memory = hide_memory});
    if (opened.ok()) {
      held[hide_memory ? 1 : 0] = std::move(*opened);
    } else {
      EXPECT_EQ(opened.status().code(), Code::not_found) << opened.status().message();
      std::printf("no Vulkan device: %s\n", opened.status().message().c_str());
      // A stage that brought a driver wants it used.
      EXPECT_EQ(std::getenv("KL_TEST_NEEDS_VULKAN"), nullptr) << "a Vulkan driver was expected";
    }
  }
  return held[hide_memory ? 1 : 0].get();
}

#define KL_VULKAN_OR_SKIP(name, ...)                                   \
  kl::Device* const name = kl::vulkan::device_under_test(__VA_ARGS__); \
  if (name == nullptr) GTEST_SKIP() << "no Vulkan driver on this machine"

}  // namespace kl::vulkan
