#include "vulkan/pipelines.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <thread>
#include <vector>

#include "core/file.h"
#include "vulkan/pipeline_file.h"

namespace kl::vulkan {
namespace {

// Drivers compile with tens of megabytes a thread, and a model has some twenty pipelines.
constexpr size_t kMostThreads = 8;

}  // namespace

Result<std::unique_ptr<Pipelines>> Pipelines::create(std::shared_ptr<Context> context, const std::string& folder) {
  auto pipelines = std::make_unique<Pipelines>(std::move(context));
  KL_TRY(pipelines->start(folder));
  return pipelines;
}

Status Pipelines::start(const std::string& folder) {
  const VolkDeviceTable& vk = context_->vk();
  const VkDevice device = context_->device();
  for (size_t s = 0; s < kShaderCount; ++s) {
    std::vector<VkDescriptorSetLayoutBinding> bindings(kShaders[s].bindings);
    for (uint32_t b = 0; b < bindings.size(); ++b) {
      bindings[b] = {b, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, nullptr};
    }
    VkDescriptorSetLayoutCreateInfo set{};
    set.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
    set.bindingCount = static_cast<uint32_t>(bindings.size());
    set.pBindings = bindings.data();
    KL_TRY(context_->check(vk.vkCreateDescriptorSetLayout(device, &set, nullptr, &set_layouts_[s]), "vkCreateDescriptorSetLayout"));
    const VkPushConstantRange push{VK_SHADER_STAGE_COMPUTE_BIT, 0, kMaxPushBytes};
    VkPipelineLayoutCreateInfo layout{};
    layout.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
    layout.setLayoutCount = 1;
    layout.pSetLayouts = &set_layouts_[s];
    layout.pushConstantRangeCount = 1;
    layout.pPushConstantRanges = &push;
    KL_TRY(context_->check(vk.vkCreatePipelineLayout(device, &layout, nullptr, &layouts_[s]), "vkCreatePipelineLayout"));
  }

  std::vector<std::byte> data;
  if (!folder.empty()) {
    key_ = cache_key(context_->physical());
    path_ = pipeline_file_path(folder, key_);
    if (Result<std::vector<std::byte>> read = read_pipeline_file(path_, key_, context_->physical()); read.ok()) data = std::move(*read);
    work_.read_bytes = data.size();
    (void)make_folder(folder);
  }
  VkPipelineCacheCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO;
  info.initialDataSize = data.size();
  info.pInitialData = data.data();
  return context_->check(vk.vkCreatePipelineCache(device, &info, nullptr, &cache_), "vkCreatePipelineCache");
}

Pipelines::~Pipelines() {
  if (context_->abandoned()) return;
  const VolkDeviceTable& vk = context_->vk();
  const VkDevice device = context_->device();
  for (const auto& [variant, pipeline] : pipelines_) vk.vkDestroyPipeline(device, pipeline, nullptr);
  if (cache_ != VK_NULL_HANDLE) vk.vkDestroyPipelineCache(device, cache_, nullptr);
  for (size_t s = 0; s < kShaderCount; ++s) {
    if (layouts_[s] != VK_NULL_HANDLE) vk.vkDestroyPipelineLayout(device, layouts_[s], nullptr);
    if (set_layouts_[s] != VK_NULL_HANDLE) vk.vkDestroyDescriptorSetLayout(device, set_layouts_[s], nullptr);
  }
}

Result<VkPipeline> Pipelines::get(const Variant& variant) {
  KL_TRY(make({&variant, 1}));
  return pipelines_.find(variant)->second;
}

Status Pipelines::make(std::span<const Variant> wanted) {
  std::vector<Variant> missing;
  for (const Variant& each : wanted) {
    if (pipelines_.contains(each) || std::find(missing.begin(), missing.end(), each) != missing.end()) continue;
    if (module_for(each.shader, context_->capabilities().features) == nullptr)
      return error(Code::internal, "no variant of the shader %s runs here", info(each.shader).name);
    missing.push_back(each);
  }
  if (missing.empty()) return {};
  const auto begin = std::chrono::steady_clock::now();
  std::vector<VkPipeline> made(missing.size(), VK_NULL_HANDLE);
  std::vector<VkResult> results(missing.size(), VK_SUCCESS);
  std::atomic<size_t> next = 0;
  const auto work = [&]() noexcept {
    for (size_t i = next++; i < missing.size(); i = next++) results[i] = compile(missing[i], made[i]);
  };
  const size_t threads = std::min({missing.size(), size_t{std::max(1u, std::thread::hardware_concurrency())}, kMostThreads});
  std::vector<std::thread> helpers;
  helpers.reserve(threads);
  try {
    while (helpers.size() + 1 < threads) helpers.emplace_back(work);
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): fewer threads do it as well
  }
  work();
  for (std::thread& each : helpers) each.join();
  for (size_t i = 0; i < missing.size(); ++i) {
    if (made[i] == VK_NULL_HANDLE) continue;
    pipelines_.emplace(missing[i], made[i]);
    ++work_.made;
    changed_ = true;
  }
  work_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  for (const VkResult result : results) KL_TRY(context_->check(result, "vkCreateComputePipelines"));
  return {};
}

// On any thread. Precondition: there is a module for it.
VkResult Pipelines::compile(const Variant& variant, VkPipeline& pipeline) const {
  const VolkDeviceTable& vk = context_->vk();
  const Capabilities& can = context_->capabilities();
  const Module* const code = module_for(variant.shader, can.features);
  const bool matrix = (code->needs & (feature::matrix | feature::emulation)) != 0;
  const bool subgroups = (code->needs & (feature::matrix | feature::subgroup)) != 0;
  const uint32_t threads = kMatrixSubgroups * ((code->needs & feature::emulation) != 0 ? 1 : can.subgroup);
  VkShaderModuleCreateInfo module_info{};
  module_info.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
  module_info.codeSize = code->code().size_bytes();
  module_info.pCode = code->words;
  VkShaderModule module = VK_NULL_HANDLE;
  if (const VkResult result = vk.vkCreateShaderModule(context_->device(), &module_info, nullptr, &module); result != VK_SUCCESS)
    return result;
  // The last four are the device's own; a shader that lacks one does not mind.
  const uint32_t values[] = {variant.constant[0], variant.constant[1], threads, can.matrix.m, can.matrix.n, can.matrix.k};
  constexpr VkSpecializationMapEntry kEntries[] = {{0, 0, 4}, {1, 4, 4}, {2, 8, 4}, {3, 12, 4}, {4, 16, 4}, {5, 20, 4}};
  const VkSpecializationInfo constants{matrix ? 6u : 2u, kEntries, sizeof values, values};
  VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size{};
  size.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO;
  size.requiredSubgroupSize = can.subgroup;
  VkComputePipelineCreateInfo pipeline_info{};
  pipeline_info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
  pipeline_info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  pipeline_info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  pipeline_info.stage.module = module;
  pipeline_info.stage.pName = "main";
  pipeline_info.stage.pSpecializationInfo = &constants;
  if (subgroups) pipeline_info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT;
  if (subgroups && can.subgroup_control) pipeline_info.stage.pNext = &size;
  pipeline_info.layout = layout(variant.shader);
  const VkResult result = vk.vkCreateComputePipelines(context_->device(), cache_, 1, &pipeline_info, nullptr, &pipeline);
  vk.vkDestroyShaderModule(context_->device(), module, nullptr);
  return result;
}

void Pipelines::save() {
  if (path_.empty() || !changed_ || !context_->lost().ok()) return;
  changed_ = false;
  const VolkDeviceTable& vk = context_->vk();
  size_t bytes = 0;
  if (vk.vkGetPipelineCacheData(context_->device(), cache_, &bytes, nullptr) != VK_SUCCESS) return;
  std::vector<std::byte> data(bytes);
  if (vk.vkGetPipelineCacheData(context_->device(), cache_, &bytes, data.data()) != VK_SUCCESS) return;
  data.resize(bytes);
  work_.written_bytes = bytes;
  (void)write_pipeline_file(path_, key_, data);
}

}  // namespace kl::vulkan
