// The kernels that were compiled as host C++: each .cu file adds its own (tests only; the library has no static initialisers that register things).
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace kl::cuda_host {

struct KernelEntry {
  KernelEntry(const char* name, void (*body)(const void*), size_t args_bytes, uint32_t threads);

  std::string name;
  void (*body)(const void* args);
  size_t args_bytes;
  uint32_t threads;  // of a block, at most
};

// Null: there is no such kernel.
const KernelEntry* find_kernel(const std::string& name);
std::vector<const KernelEntry*> all_kernels();

}  // namespace kl::cuda_host
