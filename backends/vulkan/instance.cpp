#include "vulkan/instance.h"

#include <algorithm>
#include <cstring>
#include <mutex>

namespace kl::vulkan {
namespace {

constexpr uint32_t kApiVersion = VK_API_VERSION_1_1;  // what every driver of the last years has, phones included

const char* type_name(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return "discrete GPU";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return "integrated GPU";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return "virtual GPU";
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return "CPU driver";
    default:
      return "device";
  }
}

}  // namespace

BackendDevice PhysicalDevice::describe(const Capabilities& used) const {
  BackendDevice d;
  d.info.backend = "vulkan";
  d.info.name = properties.deviceName;
  d.info.tier = format("%s, %s", used.tier().c_str(), type_name(properties.deviceType));
  d.info.driver = driver;
  d.info.capabilities = capabilities.text();
  for (uint32_t heap = 0; heap < memory.memoryHeapCount; ++heap) {
    if ((memory.memoryHeaps[heap].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0)
      d.info.memory_bytes = std::max<uint64_t>(d.info.memory_bytes, memory.memoryHeaps[heap].size);
  }
  d.fast = properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
  return d;
}

Result<std::shared_ptr<Instance>> Instance::get() {
  static std::mutex mutex;
  static std::weak_ptr<Instance> held;
  const std::lock_guard lock(mutex);
  if (std::shared_ptr<Instance> instance = held.lock()) return instance;
  auto instance = std::make_shared<Instance>();
  KL_TRY(instance->start());
  held = instance;
  return instance;
}

Instance::~Instance() {
  if (instance_ != VK_NULL_HANDLE) vkDestroyInstance(instance_, nullptr);
}

Status Instance::start() {
  if (volkInitialize() != VK_SUCCESS) return error(Code::not_found, "this machine has no Vulkan loader (libvulkan.so.1)");
  if (volkGetInstanceVersion() < kApiVersion) return error(Code::not_found, "the Vulkan loader is older than 1.1");
  VkApplicationInfo app{};
  app.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
  app.pApplicationName = app.pEngineName = "kinglet";
  app.apiVersion = kApiVersion;
  VkInstanceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  info.pApplicationInfo = &app;
  if (const VkResult result = vkCreateInstance(&info, nullptr, &instance_); result != VK_SUCCESS) {
    instance_ = VK_NULL_HANDLE;
    return error(Code::not_found, "this machine has no Vulkan driver (vkCreateInstance: %d)", static_cast<int>(result));
  }
  volkLoadInstanceOnly(instance_);
  uint32_t count = 0;
  VkResult result = vkEnumeratePhysicalDevices(instance_, &count, nullptr);
  std::vector<VkPhysicalDevice> handles(count);
  if (result == VK_SUCCESS) result = vkEnumeratePhysicalDevices(instance_, &count, handles.data());
  if (result != VK_SUCCESS || count == 0) return error(Code::not_found, "the Vulkan loader found no device");
  std::string reasons;
  for (const VkPhysicalDevice handle : handles) {
    if (const Status status = look(handle); !status.ok()) reasons += (reasons.empty() ? "" : "; ") + status.message();
  }
  if (devices_.empty()) return error(Code::not_found, "no Vulkan device can run this library: %s", reasons.c_str());
  return {};
}

// Takes the device in, or says why not.
Status Instance::look(VkPhysicalDevice handle) {
  PhysicalDevice d;
  d.handle = handle;
  vkGetPhysicalDeviceProperties(handle, &d.properties);
  const char* name = d.properties.deviceName;
  if (d.properties.apiVersion < kApiVersion) return error(Code::unsupported, "%s: its driver is older than Vulkan 1.1", name);
  const VkPhysicalDeviceLimits& l = d.properties.limits;
  if (l.maxPerStageDescriptorStorageBuffers < 7 || l.maxComputeWorkGroupInvocations < 128 || l.maxComputeSharedMemorySize < 16384) {
    return error(Code::unsupported,
                 "%s: at least 7 storage buffers, 128 invocations and 16384 bytes a workgroup are needed, it has %u, %u, %u", name,
                 l.maxPerStageDescriptorStorageBuffers, l.maxComputeWorkGroupInvocations, l.maxComputeSharedMemorySize);
  }

  uint32_t count = 0;
  vkEnumerateDeviceExtensionProperties(handle, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> extensions(count);
  vkEnumerateDeviceExtensionProperties(handle, nullptr, &count, extensions.data());
  d.has_budget = has_extension(extensions, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  d.capabilities = read_capabilities(instance_, handle, d.properties, extensions);

  VkPhysicalDeviceDriverProperties driver{};
  driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES;
  const bool names_driver =
      d.properties.apiVersion >= VK_API_VERSION_1_2 || has_extension(extensions, VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME);
  VkPhysicalDeviceMaintenance3Properties sizes{};
  sizes.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES;
  sizes.pNext = names_driver ? &driver : nullptr;
  VkPhysicalDeviceIDProperties ids{};
  ids.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES;
  ids.pNext = &sizes;
  VkPhysicalDeviceProperties2 all{};
  all.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
  all.pNext = &ids;
  vkGetPhysicalDeviceProperties2(handle, &all);
  std::memcpy(d.driver_uuid, ids.driverUUID, VK_UUID_SIZE);
  std::memcpy(d.device_uuid, ids.deviceUUID, VK_UUID_SIZE);
  d.max_allocation = sizes.maxMemoryAllocationSize;
  d.driver = format("%s %s", names_driver ? driver.driverName : "driver", names_driver ? driver.driverInfo : "");
  while (!d.driver.empty() && d.driver.back() == ' ') d.driver.pop_back();

  vkGetPhysicalDeviceMemoryProperties(handle, &d.memory);
  d.unified = d.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU || d.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU;

  vkGetPhysicalDeviceQueueFamilyProperties(handle, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  vkGetPhysicalDeviceQueueFamilyProperties(handle, &count, families.data());
  // A family that only computes leaves the desktop's queue alone; else any that computes.
  const auto computes = [](const VkQueueFamilyProperties& f) { return (f.queueFlags & VK_QUEUE_COMPUTE_BIT) != 0; };
  auto at = std::find_if(families.begin(), families.end(),
                         [&](const VkQueueFamilyProperties& f) { return computes(f) && (f.queueFlags & VK_QUEUE_GRAPHICS_BIT) == 0; });
  if (at == families.end()) at = std::find_if(families.begin(), families.end(), computes);
  if (at == families.end()) return error(Code::unsupported, "%s: it has no compute queue", name);
  d.queue_family = static_cast<uint32_t>(at - families.begin());
  devices_.push_back(std::move(d));
  return {};
}

uint64_t Instance::free_bytes(const PhysicalDevice& device, uint32_t memory_type) const {
  const uint32_t heap = device.memory.memoryTypes[memory_type].heapIndex;
  if (!device.has_budget) return device.memory.memoryHeaps[heap].size;
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{};
  budget.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT;
  VkPhysicalDeviceMemoryProperties2 all{};
  all.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
  all.pNext = &budget;
  vkGetPhysicalDeviceMemoryProperties2(device.handle, &all);
  return budget.heapBudget[heap] > budget.heapUsage[heap] ? budget.heapBudget[heap] - budget.heapUsage[heap] : 0;
}

}  // namespace kl::vulkan
