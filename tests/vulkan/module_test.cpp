// The backend as an app meets it: a library of its own, listed with reasons, never chosen where it is only a CPU driver.
#include <algorithm>

#include "engine/backend_modules.h"
#include "engine/engine.h"
#include "vulkan/driver.h"

namespace kl {
namespace {

TEST(BackendModules, TheVulkanModuleIsFoundAndOfThisBuild) {
  const auto module = backend_module("vulkan");
  ASSERT_TRUE(module.ok()) << module.status().message();
  EXPECT_STREQ((*module)->stamp, kBackendStamp);
  EXPECT_EQ(*backend_module("vulkan"), *module) << "loaded once";
}

TEST(BackendModules, OneThatIsMissingIsAnErrorThatNamesTheFolders) {
  const Status status = backend_module("nothing").status();
  EXPECT_EQ(status.code(), Code::not_found);
  EXPECT_NE(status.message().find("libkinglet_nothing.so"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("/kinglet"), std::string::npos) << status.message();
}

TEST(Devices, EveryBackendIsListedAndOneIsChosen) {
  const std::vector<DeviceEntry> devices = list_devices();
  for (const Backend backend : {Backend::cpu, Backend::reference, Backend::vulkan, Backend::cuda}) {
    const auto at = std::ranges::find(devices, backend, &DeviceEntry::backend);
    ASSERT_NE(at, devices.end());
    EXPECT_FALSE(at->why.empty());
  }
  EXPECT_EQ(std::ranges::count_if(devices, [](const DeviceEntry& d) { return d.chosen; }), 1);
}

TEST(Devices, ACpuDriverIsOpenedByNameOnly) {
  KL_VULKAN_OR_SKIP(device);
  if (device->info().tier.find("CPU driver") == std::string::npos) GTEST_SKIP() << "this is a GPU: " << device->info().name;
  const std::vector<DeviceEntry> devices = list_devices();
  EXPECT_TRUE(devices[0].chosen) << "the CPU backend is chosen";
  const auto automatic = parts_for({.backend = Backend::automatic, .log = {}, .cache_dir = {}, .features = {}}).open_device();
  ASSERT_TRUE(automatic.ok());
  EXPECT_EQ(automatic->device->info().backend, "cpu");
  const auto named =
      parts_for({.backend = Backend::vulkan, .log = {}, .cache_dir = vulkan::shared_cache_dir(), .features = {}}).open_device();
  ASSERT_TRUE(named.ok()) << named.status().message() << " (it passed its self-test?)";
  EXPECT_EQ(named->device->info().backend, "vulkan");
  EXPECT_EQ(parts_for({.backend = Backend::vulkan, .device = 99, .log = {}, .cache_dir = {}, .features = {}}).open_device().status().code(),
            Code::not_found);
}

}  // namespace
}  // namespace kl
