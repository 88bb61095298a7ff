// What making kernels costs: once a device, and once a machine where the driver hands out what it compiled.
#include "vulkan/pipelines.h"
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

// All kernels for weights in 4 bits and a cache in binary16.
std::vector<Variant> variants_of_a_model(const Capabilities& can) {
  const auto format = static_cast<uint32_t>(Format::q4_0), kv = static_cast<uint32_t>(KvFormat::f16);
  std::vector<Variant> all;
  for (size_t s = 0; s < kShaderCount; ++s) {
    const auto shader = static_cast<Shader>(s);
    if (module_for(shader, can.features) == nullptr) continue;
    const bool of_cache = shader == Shader::attention || shader == Shader::attention_merge || shader == Shader::kv_write;
    const bool switched = shader == Shader::attention || std::string(info(shader).name).starts_with("linear");
    for (uint32_t on = 0; on < (switched ? 2u : 1u); ++on) all.push_back({shader, {of_cache ? kv : format, on}});
  }
  return all;
}

// Needs a driver that compiles where pipelines are made and hands out what it compiled: those of GPUs do. Mesa's for AMD cards does it without a card
// (RADV_FORCE_FAMILY=navi21); its own folder of compiled code would make the first time a warm one: MESA_SHADER_CACHE_DISABLE=true.
TEST(VulkanPipelines, FromDiskTheyTakeAFifthOfTheTime) {
  const auto instance = Instance::get();
  if (!instance.ok()) GTEST_SKIP() << "no Vulkan driver on this machine";
  const test::TempFolder folder;
  const auto make = [&] {
    const auto context = Context::open(*instance, 0);
    EXPECT_TRUE(context.ok()) << context.status().message();
    if (!context.ok()) return KernelWork{};
    const auto pipelines = Pipelines::create(*context, folder.path());
    EXPECT_TRUE(pipelines.ok()) << pipelines.status().message();
    if (!pipelines.ok()) return KernelWork{};
    const Status made = (*pipelines)->make(variants_of_a_model((*context)->capabilities()));
    EXPECT_TRUE(made.ok()) << made.message();
    (*pipelines)->save();
    return (*pipelines)->work();
  };
  const KernelWork cold = make();
  std::printf("%s: %u pipelines made in %.3f s; %llu bytes of cache\n", (*instance)->devices()[0].properties.deviceName, cold.made,
              cold.seconds, static_cast<unsigned long long>(cold.written_bytes));
  EXPECT_EQ(cold.read_bytes, 0u);
  if (cold.written_bytes < 256 * uint64_t{cold.made}) GTEST_SKIP() << "the driver hands out no compiled code: there is nothing to keep";
  const KernelWork warm = make();
  std::printf("with the cache from disk: %.3f s, 1/%.1f\n", warm.seconds, cold.seconds / warm.seconds);
  EXPECT_EQ(warm.read_bytes, cold.written_bytes);
  EXPECT_EQ(warm.made, cold.made);
  EXPECT_LE(warm.seconds, cold.seconds / 5);
}

}  // namespace
}  // namespace kl::vulkan
