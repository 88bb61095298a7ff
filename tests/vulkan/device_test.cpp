// The file of compiled pipelines: whole or a miss; and how the device refuses and ends.
#include "vulkan/pipeline_file.h"

#include <cstring>
#include <filesystem>
#include <fstream>

#include "ops/op_case.h"
#include "vulkan/driver.h"

namespace kl::vulkan {
namespace {

struct File {
  PhysicalDevice device;
  std::string path = testing::TempDir() + "vulkan_pipelines_test", key = "driver 1";
  std::vector<std::byte> data;

  File() {
    device.properties.vendorID = 7;
    device.properties.deviceID = 9;
    VkPipelineCacheHeaderVersionOne header{};
    header.headerSize = sizeof header;
    header.headerVersion = VK_PIPELINE_CACHE_HEADER_VERSION_ONE;
    header.vendorID = 7;
    header.deviceID = 9;
    data.resize(sizeof header + 100, std::byte{42});
    std::memcpy(data.data(), &header, sizeof header);
    EXPECT_TRUE(write_pipeline_file(path, key, data).ok());
  }
  ~File() { std::filesystem::remove(path); }
};

TEST(PipelineFile, WhatWasWrittenIsRead) {
  const File f;
  const auto read = read_pipeline_file(f.path, f.key, f.device);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(*read, f.data);
}

TEST(PipelineFile, AnotherDriverOrDeviceIsAMiss) {
  File f;
  EXPECT_EQ(read_pipeline_file(f.path, "driver 2", f.device).status().code(), Code::corrupt);
  f.device.properties.deviceID = 10;
  EXPECT_EQ(read_pipeline_file(f.path, f.key, f.device).status().code(), Code::corrupt);
  EXPECT_EQ(read_pipeline_file(f.path + "x", f.key, f.device).status().code(), Code::not_found);
}

TEST(PipelineFile, EveryDamagedByteAndEveryCutIsAMiss) {
  const File f;
  std::ifstream in(f.path, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), {});
  const auto rewrite = [&](const std::string& text) { std::ofstream(f.path, std::ios::binary | std::ios::trunc) << text; };
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    rewrite(damaged);
    EXPECT_FALSE(read_pipeline_file(f.path, f.key, f.device).ok()) << "byte " << at;
    rewrite(whole.substr(0, at));
    EXPECT_FALSE(read_pipeline_file(f.path, f.key, f.device).ok()) << "cut at " << at;
  }
  rewrite(whole);
  EXPECT_TRUE(read_pipeline_file(f.path, f.key, f.device).ok());
}

TEST(VulkanDevice, AllocationsBeyondTheBudgetAreRefusedWithTheSizes) {
  KL_VULKAN_OR_SKIP(device);
  const auto memory = device->allocate(uint64_t{1} << 50, MemoryUse::weights);
  ASSERT_FALSE(memory.ok());
  EXPECT_EQ(memory.status().code(), Code::out_of_memory);
  EXPECT_NE(memory.status().message().find("1,125,899,906,842,624"), std::string::npos) << memory.status().message();
}

// A wait that times out is the last one: nothing is asked of the device again, and nothing it may still use is freed.
TEST(VulkanDevice, OneThatDoesNotFinishInTimeIsAbandoned) {
  KL_VULKAN_OR_SKIP(other);
  auto device = open_vulkan(VulkanOptions());
  ASSERT_TRUE(device.ok()) << device.status().message();
  const ops::OpCase slow{"linear", {{"T", "64"}, {"K", "2048"}, {"N", "2048"}, {"w", "q4_0"}, {"act", "f32"}}};
  const auto result = ops::run(**device, ops::build(slow), 1, std::chrono::milliseconds(0));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), Code::device_lost) << result.status().message();
  EXPECT_EQ((*device)->allocate(100, MemoryUse::kv).status().code(), Code::device_lost);
  EXPECT_EQ((*device)->copy({}).code(), Code::device_lost);
  EXPECT_EQ((*device)->wait(1, std::chrono::milliseconds(0)).code(), Code::device_lost);
  device->reset();
  EXPECT_TRUE(ops::run(*other, ops::build({"add", {{"T", "13"}, {"K", "172"}}})).ok()) << "another device of the process goes on";
}

TEST(VulkanDevice, CopiesOutsideAMemoryAreRefused) {
  KL_VULKAN_OR_SKIP(device);
  const auto memory = device->allocate(100, MemoryUse::kv);
  ASSERT_TRUE(memory.ok());
  std::vector<std::byte> bytes(60);
  CopyRequest request;
  request.to = memory->get();
  request.to_offset = 50;
  request.from_host = bytes.data();
  request.bytes = bytes.size();
  EXPECT_EQ(device->copy(request).code(), Code::internal);
}

}  // namespace
}  // namespace kl::vulkan
