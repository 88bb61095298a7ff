#include "vulkan/pipeline_file.h"

#include <cstring>

#include "core/checked.h"
#include "core/file.h"
#include "vulkan/shaders.h"

namespace kl::vulkan {
namespace {

constexpr char kMagic[8] = {'K', 'L', 'V', 'K', 'P', 'C', '0', '1'};

struct Header {
  char magic[8];
  uint64_t key_bytes, data_bytes;
  uint64_t hash_low, hash_high;
};
static_assert(sizeof(Header) == 40);

Hash128 hash_of(const std::string& key, std::span<const std::byte> data) {
  const Hash128 parts[2] = {hash128(std::as_bytes(std::span(key))), hash128(data)};
  return hash128(std::as_bytes(std::span(parts)));
}

std::string hex(const uint8_t (&bytes)[VK_UUID_SIZE]) {
  std::string text;
  for (const uint8_t b : bytes) text += format("%02x", b);
  return text;
}

}  // namespace

std::string cache_key(const PhysicalDevice& d) {
  return format("driver %s version %u device %s vendor %x id %x pipelines %s shaders %s", hex(d.driver_uuid).c_str(),
                d.properties.driverVersion, hex(d.device_uuid).c_str(), d.properties.vendorID, d.properties.deviceID,
                hex(d.properties.pipelineCacheUUID).c_str(), shader_set_hash().hex().c_str());
}

std::string pipeline_file_path(const std::string& folder, const std::string& key) {
  return folder + "/" + hash128(std::as_bytes(std::span(key))).hex() + ".klpipelines";
}

Result<std::vector<std::byte>> read_pipeline_file(const std::string& path, const std::string& key, const PhysicalDevice& device) {
  KL_ASSIGN(const std::shared_ptr<const ByteSource> file, ByteSource::open(path, ByteSource::Access::read));
  const std::span<const std::byte> bytes = file->bytes();
  Header h{};
  if (bytes.size() < sizeof h) return error(Code::corrupt, "%s is shorter than its header", path.c_str());
  std::memcpy(&h, bytes.data(), sizeof h);
  if (std::memcmp(h.magic, kMagic, sizeof kMagic) != 0 || h.key_bytes != key.size() || !range_fits(sizeof h, h.key_bytes, bytes.size()) ||
      h.data_bytes != bytes.size() - sizeof h - h.key_bytes || std::memcmp(bytes.data() + sizeof h, key.data(), key.size()) != 0)
    return error(Code::corrupt, "%s is not the pipeline cache of this driver, device and build", path.c_str());
  const std::span<const std::byte> data = bytes.subspan(sizeof h + key.size());
  if (hash_of(key, data) != Hash128{h.hash_low, h.hash_high}) return error(Code::corrupt, "%s does not match its checksum", path.c_str());
  VkPipelineCacheHeaderVersionOne driver{};
  if (data.size() < sizeof driver) return error(Code::corrupt, "%s holds no pipelines", path.c_str());
  std::memcpy(&driver, data.data(), sizeof driver);
  if (driver.headerVersion != VK_PIPELINE_CACHE_HEADER_VERSION_ONE || driver.vendorID != device.properties.vendorID ||
      driver.deviceID != device.properties.deviceID ||
      std::memcmp(driver.pipelineCacheUUID, device.properties.pipelineCacheUUID, VK_UUID_SIZE) != 0)
    return error(Code::corrupt, "%s holds pipelines of another device", path.c_str());
  return std::vector<std::byte>(data.begin(), data.end());
}

Status write_pipeline_file(const std::string& path, const std::string& key, std::span<const std::byte> data) {
  Header h{};
  std::memcpy(h.magic, kMagic, sizeof kMagic);
  h.key_bytes = key.size();
  h.data_bytes = data.size();
  const Hash128 hash = hash_of(key, data);
  h.hash_low = hash.low;
  h.hash_high = hash.high;
  KL_ASSIGN(AtomicFile file, AtomicFile::create(path));
  KL_TRY(file.write(std::as_bytes(std::span(&h, 1))));
  KL_TRY(file.write(std::as_bytes(std::span(key))));
  KL_TRY(file.write(data));
  return file.commit();
}

}  // namespace kl::vulkan
