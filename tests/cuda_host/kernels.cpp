#include "cuda_host/kernels.h"

#include <map>

namespace kl::cuda_host {
namespace {

std::map<std::string, const KernelEntry*>& registry() {
  static std::map<std::string, const KernelEntry*> all;
  return all;
}

}  // namespace

KernelEntry::KernelEntry(const char* kernel, void (*kernel_body)(const void*), size_t bytes, uint32_t most)
    : name(kernel), body(kernel_body), args_bytes(bytes), threads(most) {
  registry()[name] = this;
}

const KernelEntry* find_kernel(const std::string& name) {
  const auto at = registry().find(name);
  return at == registry().end() ? nullptr : at->second;
}

std::vector<const KernelEntry*> all_kernels() {
  std::vector<const KernelEntry*> all;
  for (const auto& [name, entry] : registry()) all.push_back(entry);
  return all;
}

}  // namespace kl::cuda_host
