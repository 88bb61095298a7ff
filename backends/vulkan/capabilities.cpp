#include "vulkan/capabilities.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/status.h"
#include "vulkan/cooperative_matrix.h"

namespace kl::vulkan {
namespace {

constexpr uint32_t kLargestWorkgroup = 128;         // of the shaders that reduce over subgroups (norm.comp)
constexpr uint32_t kMatrixSharedBytes = 24 * 1024;  // linear_matrix.comp

// A structure at the head of a chain.
template <class Structure>
void link(Structure& structure, VkStructureType type, void*& chain) {
  structure.sType = type;
  structure.pNext = chain;
  chain = &structure;
}

// The size that reductions are made with: the driver's own choice where it is one of 4 to 64 and fits; else 64, where a size can be chosen.
uint32_t choose_subgroup(const Capabilities& c, uint32_t most_in_workgroup) {
  for (const uint32_t size : {c.subgroup_size, 64u, 32u}) {
    const bool allowed =
        c.subgroup_control ? size >= c.least_subgroup && size <= c.most_subgroup : size == c.least_subgroup && size == c.most_subgroup;
    if (allowed && std::has_single_bit(size) && size >= 4 && size <= 64 && uint64_t{size} * most_in_workgroup >= kLargestWorkgroup)
      return size;
  }
  return 0;
}

}  // namespace

MatrixShape choose_matrix(std::span<const VkCooperativeMatrixPropertiesKHR> all) {
  for (const VkCooperativeMatrixPropertiesKHR& p : all) {
    const bool integers = p.AType == VK_COMPONENT_TYPE_SINT8_KHR && p.BType == VK_COMPONENT_TYPE_SINT8_KHR &&
                          p.CType == VK_COMPONENT_TYPE_SINT32_KHR && p.ResultType == VK_COMPONENT_TYPE_SINT32_KHR &&
                          p.saturatingAccumulation == VK_FALSE && p.scope == VK_SCOPE_SUBGROUP_KHR;
    const bool fits = (p.MSize == 8 || p.MSize == 16 || p.MSize == 32) && (p.NSize == 8 || p.NSize == 16) &&
                      (p.KSize == 8 || p.KSize == 16 || p.KSize == 32);
    const bool floats = std::any_of(all.begin(), all.end(), [&](const VkCooperativeMatrixPropertiesKHR& q) {
      return q.ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR && q.scope == VK_SCOPE_SUBGROUP_KHR && q.MSize == p.MSize && q.NSize == p.NSize;
    });
    if (integers && fits && floats) return {p.MSize, p.NSize, p.KSize};
  }
  return {};
}

namespace {

MatrixShape read_matrix(VkInstance instance, VkPhysicalDevice device) {
  const auto get = reinterpret_cast<PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR>(
      vkGetInstanceProcAddr(instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"));
  uint32_t count = 0;
  if (get == nullptr || get(device, &count, nullptr) != VK_SUCCESS) return {};
  VkCooperativeMatrixPropertiesKHR empty{};
  empty.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR;
  std::vector<VkCooperativeMatrixPropertiesKHR> all(count, empty);
  if (get(device, &count, all.data()) != VK_SUCCESS) return {};
  all.resize(count);
  return choose_matrix(all);
}

}  // namespace

bool has_extension(Extensions all, const char* name) {
  return std::any_of(all.begin(), all.end(), [&](const VkExtensionProperties& e) { return std::strcmp(e.extensionName, name) == 0; });
}

Capabilities read_capabilities(VkInstance instance, VkPhysicalDevice device, const VkPhysicalDeviceProperties& properties,
                               Extensions extensions) {
  const bool bytes = has_extension(extensions, VK_KHR_8BIT_STORAGE_EXTENSION_NAME);
  const bool small = has_extension(extensions, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME);
  const bool dots = has_extension(extensions, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME);
  const bool sizes = has_extension(extensions, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
  const bool model = has_extension(extensions, VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME);
  const bool matrices = has_extension(extensions, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME);

  // Structures that the driver knows; the others stay zero.
  void* chain = nullptr;
  VkPhysicalDevice16BitStorageFeatures storage16{};
  VkPhysicalDevice8BitStorageFeatures storage8{};
  VkPhysicalDeviceShaderFloat16Int8Features arithmetic{};
  VkPhysicalDeviceShaderIntegerDotProductFeatures dot{};
  VkPhysicalDeviceSubgroupSizeControlFeatures control{};
  VkPhysicalDeviceVulkanMemoryModelFeatures memory_model{};
  VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix{};
  link(storage16, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES, chain);
  if (bytes) link(storage8, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES, chain);
  if (small) link(arithmetic, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES, chain);
  if (dots) link(dot, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES, chain);
  if (sizes) link(control, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES, chain);
  if (model) link(memory_model, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES, chain);
  if (matrices) link(matrix, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR, chain);
  VkPhysicalDeviceFeatures2 features{};
  link(features, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, chain);
  vkGetPhysicalDeviceFeatures2(device, &features);

  chain = nullptr;
  VkPhysicalDeviceSubgroupProperties subgroups{};
  VkPhysicalDeviceSubgroupSizeControlProperties subgroup_sizes{};
  VkPhysicalDeviceShaderIntegerDotProductProperties dot_speed{};
  link(subgroups, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, chain);
  if (sizes) link(subgroup_sizes, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES, chain);
  if (dots) link(dot_speed, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES, chain);
  VkPhysicalDeviceProperties2 more{};
  link(more, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, chain);
  vkGetPhysicalDeviceProperties2(device, &more);

  Capabilities c;
  c.float16 = arithmetic.shaderFloat16 == VK_TRUE;
  c.int8 = arithmetic.shaderInt8 == VK_TRUE;
  if (storage16.storageBuffer16BitAccess == VK_TRUE) c.features |= feature::storage16;
  if (storage8.storageBuffer8BitAccess == VK_TRUE) c.features |= feature::storage8;
  if (dot.shaderIntegerDotProduct == VK_TRUE) c.features |= feature::dot;
  c.dot_accelerated = dot_speed.integerDotProduct4x8BitPackedSignedAccelerated == VK_TRUE;

  c.subgroup_size = subgroups.subgroupSize;
  c.subgroup_operations = (subgroups.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0 ? subgroups.supportedOperations : 0;
  c.least_subgroup = sizes ? subgroup_sizes.minSubgroupSize : 0;
  c.most_subgroup = sizes ? subgroup_sizes.maxSubgroupSize : 0;
  c.subgroup_control =
      control.subgroupSizeControl == VK_TRUE && (subgroup_sizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
  c.subgroup = choose_subgroup(c, subgroup_sizes.maxComputeWorkgroupSubgroups);
  constexpr VkSubgroupFeatureFlags kShuffles = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
  const bool full = control.computeFullSubgroups == VK_TRUE && c.subgroup != 0;
  if (full && (c.subgroup_operations & kShuffles) == kShuffles) c.features |= feature::subgroup;

  const VkPhysicalDeviceLimits& l = properties.limits;
  const uint32_t threads = kMatrixSubgroups * c.subgroup;
  const bool room = l.maxComputeSharedMemorySize >= kMatrixSharedBytes && l.maxComputeWorkGroupInvocations >= threads &&
                    l.maxComputeWorkGroupSize[0] >= threads && subgroup_sizes.maxComputeWorkgroupSubgroups >= kMatrixSubgroups;
  // Under the memory model, atomics (of kv_write, sample) need the device's scope named among the features too.
  const bool memory = memory_model.vulkanMemoryModel == VK_TRUE && memory_model.vulkanMemoryModelDeviceScope == VK_TRUE;
  if (matrix.cooperativeMatrix == VK_TRUE && memory && c.int8 && full && room) {
    c.matrix = read_matrix(instance, device);
    if (c.matrix.m != 0 && c.has(feature::dot)) c.features |= feature::matrix;
  }
  return c;
}

void Capabilities::drop(uint32_t without) {
  features &= ~without;
  if ((features & feature::dot) == 0) features &= ~feature::matrix;  // decode computes what prefill computes
}

void Capabilities::emulate(const MatrixShape& shape) {
  if (!has(feature::dot)) return;
  features = (features & ~feature::matrix) | feature::emulation;
  matrix = shape;
}

std::vector<uint32_t> Capabilities::tiers() const {
  std::vector<uint32_t> tiers;
  for (const uint32_t tier : {feature::matrix, feature::dot, feature::storage16 | feature::storage8, feature::subgroup}) {
    if ((features & tier) != 0) tiers.push_back(tier);
  }
  return tiers;
}

std::string Capabilities::tier() const {
  std::string text = "fp32";
  if (has(feature::subgroup)) text += format("+subgroup%u", subgroup);
  if (has(feature::storage16 | feature::storage8)) text += "+16bit";
  if (has(feature::dot)) text += "+dot";
  if (has(feature::matrix)) text += format("+matrix%ux%ux%u", matrix.m, matrix.n, matrix.k);
  return text;
}

std::string Capabilities::text() const {
  std::string text = format("subgroups of %u", subgroup_size);
  if (most_subgroup != 0) text += format(" (%u to %u%s)", least_subgroup, most_subgroup, subgroup_control ? ", chosen by us" : "");
  constexpr struct {
    VkSubgroupFeatureFlagBits bit;
    const char* name;
  } kOperations[] = {{VK_SUBGROUP_FEATURE_VOTE_BIT, "vote"},
                     {VK_SUBGROUP_FEATURE_ARITHMETIC_BIT, "arithmetic"},
                     {VK_SUBGROUP_FEATURE_BALLOT_BIT, "ballot"},
                     {VK_SUBGROUP_FEATURE_SHUFFLE_BIT, "shuffle"},
                     {VK_SUBGROUP_FEATURE_CLUSTERED_BIT, "clustered"}};
  for (const auto& each : kOperations) {
    if ((subgroup_operations & each.bit) != 0) text += format(" %s", each.name);
  }
  text += format("; arithmetic%s%s; storage%s%s", float16 ? " fp16" : "", int8 ? " int8" : "", has(feature::storage16) ? " 16" : "",
                 has(feature::storage8) ? " 8" : "");
  if (!float16 && !int8) text.replace(text.find("; arithmetic"), std::strlen("; arithmetic"), "; no fp16, no int8");
  if (!has(feature::storage16) && !has(feature::storage8)) text.replace(text.find("; storage"), std::strlen("; storage"), "; storage 32");
  text += !has(feature::dot) ? "; no integer dot" : dot_accelerated ? "; integer dot, accelerated" : "; integer dot, not accelerated";
  text += has(feature::matrix) ? format("; int8 matrices %ux%ux%u", matrix.m, matrix.n, matrix.k) : std::string("; no int8 matrices");
  return text;
}

struct FeatureChain::Structures {
  void* chain = nullptr;
  VkPhysicalDevice16BitStorageFeatures storage16{};
  VkPhysicalDevice8BitStorageFeatures storage8{};
  VkPhysicalDeviceShaderFloat16Int8Features arithmetic{};
  VkPhysicalDeviceShaderIntegerDotProductFeatures dot{};
  VkPhysicalDeviceSubgroupSizeControlFeatures control{};
  VkPhysicalDeviceVulkanMemoryModelFeatures memory_model{};
  VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix{};
};

FeatureChain::FeatureChain(const Capabilities& c) : structures_(std::make_unique<Structures>()) {
  Structures& s = *structures_;
  if (c.has(feature::storage16)) {
    s.storage16.storageBuffer16BitAccess = VK_TRUE;
    link(s.storage16, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES, s.chain);
  }
  if (c.has(feature::storage8)) {
    s.storage8.storageBuffer8BitAccess = VK_TRUE;
    link(s.storage8, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES, s.chain);
    extensions_.push_back(VK_KHR_8BIT_STORAGE_EXTENSION_NAME);
  }
  if (c.has(feature::dot)) {
    s.dot.shaderIntegerDotProduct = VK_TRUE;
    link(s.dot, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES, s.chain);
    extensions_.push_back(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME);
  }
  if (c.has(feature::subgroup) || c.has(feature::matrix)) {
    s.control.subgroupSizeControl = c.subgroup_control ? VK_TRUE : VK_FALSE;
    s.control.computeFullSubgroups = VK_TRUE;
    link(s.control, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES, s.chain);
    extensions_.push_back(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
  }
  if (c.has(feature::matrix)) {
    s.arithmetic.shaderInt8 = VK_TRUE;
    s.memory_model.vulkanMemoryModel = s.memory_model.vulkanMemoryModelDeviceScope = VK_TRUE;
    s.matrix.cooperativeMatrix = VK_TRUE;
    link(s.arithmetic, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES, s.chain);
    link(s.memory_model, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES, s.chain);
    link(s.matrix, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR, s.chain);
    extensions_.insert(extensions_.end(), {VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME, VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME,
                                           VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME});
  }
}

FeatureChain::~FeatureChain() = default;
const void* FeatureChain::next() const { return structures_->chain; }

}  // namespace kl::vulkan
