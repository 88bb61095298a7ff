// What a device can do beyond Vulkan 1.1, asked of its driver: what the tiers are made of. Never its name.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "vulkan/cooperative_matrix.h"

namespace kl::vulkan {

// What a variant of a shader may need (shaders/variants.txt has these names), as bits.
namespace feature {
inline constexpr uint32_t subgroup = 1;    // shuffles in full subgroups of a size we choose, 4 to 64
inline constexpr uint32_t storage16 = 2;   // 16-bit loads and stores
inline constexpr uint32_t storage8 = 4;    // 8-bit loads and stores
inline constexpr uint32_t dot = 8;         // integer dot products of four bytes
inline constexpr uint32_t matrix = 16;     // cooperative matrices int8 x int8 -> int32 of a size that linear_matrix.comp takes
inline constexpr uint32_t emulation = 32;  // tests: such matrices played by single threads. No device has it
inline constexpr uint32_t all = subgroup | storage16 | storage8 | dot | matrix;
}  // namespace feature

inline constexpr uint32_t kMatrixSubgroups = 4;  // of a workgroup of linear_matrix.comp

struct MatrixShape {
  uint32_t m = 0, n = 0, k = 0;
};

struct Capabilities {
  uint32_t features = 0;               // bits of `feature`
  bool float16 = false, int8 = false;  // arithmetic; no kernel needs float16 so far
  bool dot_accelerated = false;        // four signed bytes in a word: faster than the same sum in other instructions
  uint32_t subgroup_size = 0, least_subgroup = 0, most_subgroup = 0;
  VkSubgroupFeatureFlags subgroup_operations = 0;
  bool subgroup_control = false;  // the size can be chosen
  uint32_t subgroup = 0;          // with feature::subgroup: the size that pipelines are made with
  MatrixShape matrix;             // with feature::matrix, or emulation

  bool has(uint32_t needs) const { return (features & needs) == needs; }

  // Leaves features out, and those that build upon them.
  void drop(uint32_t without);
  void emulate(const MatrixShape& shape);
  // The tiers of this device, the best first, each as the features that go with it: what a device that fails its self-test goes on without.
  std::vector<uint32_t> tiers() const;
  std::string tier() const;  // "fp32+subgroup32+16bit+dot+matrix16x16x32"
  std::string text() const;  // all of it, for people
};

// The first shape of int8 matrices that linear_matrix.comp takes; zeros: none. Its float32 accumulators must be matrices of the device as well.
MatrixShape choose_matrix(std::span<const VkCooperativeMatrixPropertiesKHR> all);

using Extensions = std::span<const VkExtensionProperties>;
bool has_extension(Extensions all, const char* name);

Capabilities read_capabilities(VkInstance instance, VkPhysicalDevice device, const VkPhysicalDeviceProperties& properties,
                               Extensions extensions);

// What vkCreateDevice is told so that the features may be used. The chain lives as long as this.
class FeatureChain {
 public:
  explicit FeatureChain(const Capabilities& capabilities);
  ~FeatureChain();
  FeatureChain(const FeatureChain&) = delete;
  FeatureChain& operator=(const FeatureChain&) = delete;
  const void* next() const;
  const std::vector<const char*>& extensions() const { return extensions_; }

 private:
  struct Structures;
  std::unique_ptr<Structures> structures_;
  std::vector<const char*> extensions_;
};

}  // namespace kl::vulkan
