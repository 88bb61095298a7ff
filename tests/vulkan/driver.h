// The device under test: the first that the loader offers (VK_DRIVER_FILES chooses a driver), opened once per set-up for the whole run.
#pragma once
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>

#include "support/temp_folder.h"
#include "vulkan/device.h"
#include "vulkan/instance.h"

namespace kl::vulkan {

struct Setting {
  uint32_t without = 0;                              // features to leave unused
  bool hide_memory = false;                          // as if the host could not address its memory, as on a discrete GPU
  std::array<uint32_t, 3> emulated_matrix = {};      // VulkanOptions::emulated_matrix
  auto operator<=>(const Setting&) const = default;  // NOLINT(modernize-use-nullptr): takes the comparison's 0 for a pointer
};

// Closed before the process ends its drivers.
class DevicesUnderTest final : public testing::Environment {
 public:
  void TearDown() override { devices_.clear(); }

  // Null without a driver.
  Device* get(const Setting& setting) {
    const auto at = devices_.find(setting);
    if (at != devices_.end()) return at->second.get();
    VulkanOptions options;
    options.hide_memory = setting.hide_memory;
    options.without = setting.without;
    options.emulated_matrix = {setting.emulated_matrix[0], setting.emulated_matrix[1], setting.emulated_matrix[2]};
    auto opened = open_vulkan(options);
    if (opened.ok()) return (devices_[setting] = std::move(*opened)).get();
    devices_[setting] = nullptr;
    EXPECT_EQ(opened.status().code(), Code::not_found) << opened.status().message();
    EXPECT_EQ(std::getenv("KL_TEST_NEEDS_VULKAN"), nullptr) << "a stage that brings a driver wants it used";
    std::printf("no Vulkan device: %s\n", opened.status().message().c_str());
    return nullptr;
  }

 private:
  std::map<Setting, std::unique_ptr<Device>> devices_;
};

inline Device* device_under_test(const Setting& setting = {}) {
  static auto* const devices = static_cast<DevicesUnderTest*>(testing::AddGlobalTestEnvironment(new DevicesUnderTest));
  return devices->get(setting);
}

// Where engines of this run keep what they find out: the first one's verdict on the device serves the others, for a self-test compiles every kernel.
inline const std::string& shared_cache_dir() {
  static const test::TempFolder kFolder;
  return kFolder.path();
}

// What the driver of the device under test offers; nothing without one.
inline Capabilities capabilities_here() {
  const auto instance = Instance::get();
  return instance.ok() ? (*instance)->devices()[0].capabilities : Capabilities{};
}

// What a device with dot products leaves unused to have no matrices; nothing where it has none, so that it is the device of other tests as well.
inline uint32_t without_matrices() { return capabilities_here().features & feature::matrix; }
constexpr std::array<uint32_t, 3> kOwnMatrices = {};  // those of the driver, where it has some, instead of emulated ones

// The tiers at which tests run.
struct Tier {
  const char* name;
  uint32_t without;
  uint32_t needs;  // a driver that lacks one of these has no such tier
};
inline constexpr Tier kPlain = {"plain", feature::all, 0};
inline constexpr Tier kSubgroup = {"subgroup", feature::all & ~feature::subgroup, feature::subgroup};
inline constexpr Tier kBest = {"best", 0, 0};  // all that the driver has

#define KL_VULKAN_OR_SKIP(name, ...)                                                        \
  kl::Device* const name = kl::vulkan::device_under_test(kl::vulkan::Setting{__VA_ARGS__}); \
  if (name == nullptr) GTEST_SKIP() << "no Vulkan driver on this machine"

}  // namespace kl::vulkan
