#include "vulkan/shaders.h"

#include <cstring>
#include <string>

namespace kl::vulkan {

// Made by CMake from the manifest (embed.cmake).
extern const Module kModules[];
extern const size_t kModuleCount;

std::span<const Module> modules() { return {kModules, kModuleCount}; }

const Module* module_for(Shader s, uint32_t features) {
  for (const Module& m : modules()) {
    if (std::strcmp(m.shader, info(s).name) == 0 && (m.needs & ~features) == 0) return &m;
  }
  return nullptr;
}

const Hash128& shader_set_hash() {
  static const Hash128 kHash = [] {
    std::string all;
    for (const Module& m : modules()) all += std::string(m.name) + hash128(std::as_bytes(m.code())).hex();
    return hash128(std::as_bytes(std::span(all)));
  }();
  return kHash;
}

}  // namespace kl::vulkan
