// What making kernels costs: once a device, and once a machine where the driver hands out what it compiled.
#include "engine/model_runner.h"
#include "support/temp_folder.h"
#include "vulkan/driver.h"
#include "weights/gguf.h"

namespace kl::vulkan {
namespace {

Status open_model(Device& device) {
  KL_ASSIGN(const std::shared_ptr<const Gguf> file, Gguf::open(KL_TEST_DATA "/data/stories260K.gguf"));
  RunnerOptions options;
  options.context = 256;
  options.max_rows = 64;
  return ModelRunner::load(file, device, options, {}, {}).status();
}

TEST(VulkanPipelines, ASecondModelMakesNoneThatAreThere) {
  KL_VULKAN_OR_SKIP(device);
  ASSERT_TRUE(open_model(*device).ok());
  const KernelWork first = device->kernel_work();
  EXPECT_GT(first.made, 5u);
  EXPECT_GT(first.seconds, 0.0);
  ASSERT_TRUE(open_model(*device).ok());
  EXPECT_EQ(device->kernel_work().made, first.made);
  EXPECT_EQ(device->kernel_work().seconds, first.seconds);
}

// Mesa keeps compiled code in a folder of its own too, which would make the first opening a warm one: MESA_SHADER_CACHE_DISABLE=true turns that off.
TEST(VulkanPipelines, FromDiskTheyTakeAFifthOfTheTime) {
  KL_VULKAN_OR_SKIP(other);
  const test::TempFolder folder;
  const auto open = [&folder] {
    auto device = open_vulkan({.cache_dir = folder.path()});
    EXPECT_TRUE(device.ok()) << device.status().message();
    if (!device.ok()) return KernelWork{};
    const Status opened = open_model(**device);
    EXPECT_TRUE(opened.ok()) << opened.message();
    return (*device)->kernel_work();
  };
  const KernelWork cold = open();
  std::printf("%s: %u pipelines made in %.3f s; %llu bytes of cache\n", other->info().name.c_str(), cold.made, cold.seconds,
              static_cast<unsigned long long>(cold.written_bytes));
  EXPECT_EQ(cold.read_bytes, 0u);
  if (cold.written_bytes < 256 * uint64_t{cold.made}) GTEST_SKIP() << "the driver hands out no compiled code: there is nothing to keep";
  const KernelWork warm = open();
  std::printf("with the cache from disk: %.3f s, 1/%.1f\n", warm.seconds, cold.seconds / warm.seconds);
  EXPECT_EQ(warm.read_bytes, cold.written_bytes);
  EXPECT_EQ(warm.made, cold.made);
  EXPECT_LE(warm.seconds, cold.seconds / 5);
}

}  // namespace
}  // namespace kl::vulkan
