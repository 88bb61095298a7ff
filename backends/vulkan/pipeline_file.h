// The file in which a driver's compiled pipelines are kept.
//   "KLVKPC01", u64 length of the key, u64 length of the data, 16 bytes XXH3-128 of key and data, key, data          all numbers little-endian
// The key names driver, device and shaders; data begins with the driver's own header (VkPipelineCacheHeaderVersionOne), which is compared as well:
// drivers have crashed on data that was not theirs.
#pragma once
#include <string>
#include <vector>

#include "core/status.h"
#include "vulkan/instance.h"

namespace kl::vulkan {

// Driver and its version, device, and the shaders of this build, as text.
std::string cache_key(const PhysicalDevice& device);
std::string pipeline_file_path(const std::string& folder, const std::string& key);

// Errors: not_found; corrupt (any mismatch, named).
Result<std::vector<std::byte>> read_pipeline_file(const std::string& path, const std::string& key, const PhysicalDevice& device);
Status write_pipeline_file(const std::string& path, const std::string& key, std::span<const std::byte> data);

}  // namespace kl::vulkan
