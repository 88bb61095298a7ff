// Compute pipelines: made at the first recording that needs them, kept for the device's life, their compiled form kept on disk.
#pragma once
#include <map>
#include <span>
#include <string>

#include "backend/device.h"
#include "vulkan/context.h"
#include "vulkan/shaders.h"

namespace kl::vulkan {

// A variant of a shader: its two specialization constants.
struct Variant {
  Shader shader;
  uint32_t constant[2] = {0, 0};
  auto operator<=>(const Variant&) const = default;  // NOLINT(modernize-use-nullptr): takes the comparison's 0 for a pointer
};

inline constexpr uint32_t kMaxPushBytes = 128;  // every driver has as many

class Pipelines {
 public:
  // folder: where the driver's compiled code is kept; empty: nowhere. A file of another driver, damaged or cut, is a miss.
  static Result<std::unique_ptr<Pipelines>> create(std::shared_ptr<Context> context, const std::string& folder);
  explicit Pipelines(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  ~Pipelines();
  Pipelines(const Pipelines&) = delete;
  Pipelines& operator=(const Pipelines&) = delete;

  Result<VkPipeline> get(const Variant& variant);
  // Makes those that are not there, side by side on as many threads as there are cores: a driver takes a second for one, or ten.
  Status make(std::span<const Variant> wanted);
  VkPipelineLayout layout(Shader s) const { return layouts_[static_cast<size_t>(s)]; }
  VkDescriptorSetLayout set_layout(Shader s) const { return set_layouts_[static_cast<size_t>(s)]; }
  // Writes the cache when something was compiled since. What cannot be written is made again next time.
  void save();
  const KernelWork& work() const { return work_; }

 private:
  Status start(const std::string& folder);
  VkResult compile(const Variant& variant, VkPipeline& pipeline) const;

  std::shared_ptr<Context> context_;
  std::string path_, key_;
  VkPipelineCache cache_ = VK_NULL_HANDLE;
  VkDescriptorSetLayout set_layouts_[kShaderCount] = {};
  VkPipelineLayout layouts_[kShaderCount] = {};
  std::map<Variant, VkPipeline> pipelines_;
  bool changed_ = false;
  KernelWork work_;
};

}  // namespace kl::vulkan
