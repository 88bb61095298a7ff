// What making kernels costs: once a device, and once a machine where the driver hands out what it compiled.
#include "engine/model_runner.h"
#include "support/temp_folder.h"
#include "vulkan/driver.h"
#include "weights/gguf.h"

namespace kl::vulkan {
namespace {

Status open_model(Device& device) {
  KL_ASSIGN(const std::shared_ptr<const Gguf> file, Gguf::open(KL_TEST_DATA "/data/stories260K.gguf"));
  return ModelRunner::load(file, device, {.context = 256, .max_rows = 64}, {}, {}).status();
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

// A driver keeps compiled code of its own as well (Mesa: MESA_SHADER_CACHE_DISABLE), which would make the first opening a warm one: the fifth is asked only
// where that is known to be off, and figures are printed either way.
TEST(VulkanPipelines, FromDiskTheyTakeAFifthOfTheTime) {
  KL_VULKAN_OR_SKIP(other);
  const test::TempFolder folder;
  KernelWork work[2];
  for (KernelWork& w : work) {
    auto device = open_vulkan({.cache_dir = folder.path()});
    ASSERT_TRUE(device.ok()) << device.status().message();
    const Status opened = open_model(**device);
    ASSERT_TRUE(opened.ok()) << opened.message();
    w = (*device)->kernel_work();
  }
  const auto& [cold, warm] = work;
  std::printf("%s: %u pipelines cold in %.3f s, warm in %.3f s; %llu bytes of cache\n", other->info().name.c_str(), cold.made, cold.seconds,
              warm.seconds, static_cast<unsigned long long>(cold.written_bytes));
  EXPECT_EQ(cold.read_bytes, 0u);
  EXPECT_EQ(warm.read_bytes, cold.written_bytes);
  EXPECT_EQ(warm.made, cold.made);
  if (cold.written_bytes < size_t{256} * cold.made) GTEST_SKIP() << "the driver hands out no compiled code: nothing can be kept";
  EXPECT_LE(warm.seconds, cold.seconds / 5);
}

}  // namespace
}  // namespace kl::vulkan
