// The compiled shaders, embedded at build time from shaders/variants.txt and shaders/spirv.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/hash.h"
#include "vulkan/capabilities.h"

namespace kl::vulkan {

// In the order of kShaders.
enum class Shader : uint8_t {
  attention,
  attention_merge,
  dense_attention,
  elementwise,
  gather_rows,
  kv_write,
  linear_matrix,
  linear_row,
  linear_row_dot,
  linear_tile,
  linear_tile_dot,
  norm,
  patchify,
  pool,
  prepare,
  rope,
  round,
  sample,
  select_rows
};

// What a shader is bound to, whichever of its variants runs (shaders/variants.txt): storage buffers 0 (the step's parameters) to bindings - 1, push constants
// of at most 128 bytes, specialization constants 0 and 1: a number format (of weights, or of the cache), and a switch. Constants 2 to 5 are the device's:
// threads of a workgroup of linear_matrix, and the size of its matrices.
struct ShaderInfo {
  const char* name;
  uint32_t bindings;
};
inline constexpr ShaderInfo kShaders[] = {
    {"attention", 5},                                                // constants: cache format; split
    {"attention_merge", 4},                                          // cache format
    {"dense_attention", 5}, {"elementwise", 4}, {"gather_rows", 5},  // weight format
    {"kv_write", 4},                                                 // cache format
    {"linear_matrix", 7},                                            // weight format; a second matrix
    {"linear_row", 7},                                               // likewise, and for those below
    {"linear_row_dot", 7},  {"linear_tile", 7}, {"linear_tile_dot", 7}, {"norm", 6},   {"patchify", 4},    {"pool", 3},
    {"prepare", 3},         {"rope", 5},        {"round", 3},           {"sample", 3}, {"select_rows", 3},
};
inline constexpr size_t kShaderCount = sizeof kShaders / sizeof kShaders[0];

constexpr const ShaderInfo& info(Shader s) { return kShaders[static_cast<size_t>(s)]; }

// A compiled variant: a row of shaders/variants.txt.
struct Module {
  const char* shader;
  const char* name;
  uint32_t needs;  // bits of `feature`
  const uint32_t* words;
  size_t count;

  std::span<const uint32_t> code() const { return {words, count}; }
};
// All of the manifest, in its order.
std::span<const Module> modules();
// The best variant for which these features suffice; null: none.
const Module* module_for(Shader s, uint32_t features);
// Of all shaders: what a cache of anything made from them is keyed by.
const Hash128& shader_set_hash();

}  // namespace kl::vulkan
