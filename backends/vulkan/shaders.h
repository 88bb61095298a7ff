// The compiled shaders, embedded at build time from shaders/spirv.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/hash.h"

namespace kl::vulkan {

// In the order of kShaders.
enum class Shader : uint8_t {
  attention,
  attention_merge,
  dense_attention,
  elementwise,
  gather_rows,
  kv_write,
  linear_row,
  linear_tile,
  norm,
  patchify,
  pool,
  prepare,
  rope,
  round,
  sample,
  select_rows
};

// The manifest. A shader has storage buffers 0 (the step's parameters) to bindings - 1, push constants of at most 128 bytes, and specialization constants 0 and 1,
// which make its variants: constant 0 is a number format (of weights, or of the cache), constant 1 a switch.
struct ShaderInfo {
  const char* name;
  uint32_t bindings;
};
inline constexpr ShaderInfo kShaders[] = {
    {"attention", 5},        // constants: cache format; split
    {"attention_merge", 4},  // cache format
    {"dense_attention", 5},
    {"elementwise", 4},
    {"gather_rows", 4},  // weight format
    {"kv_write", 4},     // cache format
    {"linear_row", 7},   // weight format; a second matrix
    {"linear_tile", 7},  // likewise
    {"norm", 6},
    {"patchify", 4},
    {"pool", 3},
    {"prepare", 3},
    {"rope", 5},
    {"round", 3},
    {"sample", 3},
    {"select_rows", 3},
};
inline constexpr size_t kShaderCount = sizeof kShaders / sizeof kShaders[0];

constexpr const ShaderInfo& info(Shader s) { return kShaders[static_cast<size_t>(s)]; }

// SPIR-V words of a shader. Empty: the build lacks it (a test asks for all).
std::span<const uint32_t> code(Shader s);
// Of all shaders: what a cache of anything made from them is keyed by.
const Hash128& shader_set_hash();

}  // namespace kl::vulkan
