#include "vulkan/shaders.h"

#include <cstring>
#include <string>

namespace kl::vulkan {

// Made by CMake from shaders/spirv (embed.cmake).
struct EmbeddedShader {
  const char* name;
  const uint32_t* words;
  size_t count;
};
extern const EmbeddedShader kEmbeddedShaders[];
extern const size_t kEmbeddedShaderCount;

std::span<const uint32_t> code(Shader s) {
  for (size_t i = 0; i < kEmbeddedShaderCount; ++i) {
    if (std::strcmp(kEmbeddedShaders[i].name, info(s).name) == 0) return {kEmbeddedShaders[i].words, kEmbeddedShaders[i].count};
  }
  return {};
}

const Hash128& shader_set_hash() {
  static const Hash128 kHash = [] {
    std::string all;
    for (size_t i = 0; i < kShaderCount; ++i) all += hash128(std::as_bytes(code(static_cast<Shader>(i)))).hex();
    return hash128(std::as_bytes(std::span(all)));
  }();
  return kHash;
}

}  // namespace kl::vulkan
