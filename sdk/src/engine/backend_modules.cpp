#include "engine/backend_modules.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "core/file.h"

#if defined(KINGLET_VULKAN_LINKED)
extern "C" const kl::BackendModule* kl_backend_module_vulkan();
#endif
#if defined(KINGLET_CUDA_LINKED)
extern "C" const kl::BackendModule* kl_backend_module_cuda();
#endif

namespace kl {
namespace {

using GetModule = const BackendModule* (*)();

#if !defined(KINGLET_BACKEND_FOLDER)
#define KINGLET_BACKEND_FOLDER ""
#endif

std::vector<std::string> folders() {
  std::vector<std::string> all;
  if (const char* named = secure_getenv("KINGLET_BACKEND_DIR"); named != nullptr && *named != '\0') all.emplace_back(named);
  Dl_info own{};
  if (dladdr(reinterpret_cast<const void*>(&backend_module), &own) != 0 && own.dli_fname != nullptr) {
    const std::string folder = folder_of(own.dli_fname);
    all.insert(all.end(), {folder, folder + "/kinglet", folder + "/../lib/kinglet"});
  }
  if (*KINGLET_BACKEND_FOLDER != '\0') all.emplace_back(KINGLET_BACKEND_FOLDER);
  return all;
}

Result<const BackendModule*> checked(const BackendModule* module, const std::string& where) {
  if (module != nullptr && module->stamp != nullptr && std::strcmp(module->stamp, kBackendStamp) == 0) return module;
  return error(Code::unsupported, "%s belongs to another build: \"%s\", expected \"%s\"", where.c_str(),
               module != nullptr && module->stamp != nullptr ? module->stamp : "", kBackendStamp);
}

Result<const BackendModule*> load(const char* name) {
#if defined(KINGLET_VULKAN_LINKED)
  if (std::strcmp(name, "vulkan") == 0) return checked(kl_backend_module_vulkan(), "the linked vulkan backend");
#endif
#if defined(KINGLET_CUDA_LINKED)
  if (std::strcmp(name, "cuda") == 0) return checked(kl_backend_module_cuda(), "the linked cuda backend");
#endif
  const std::string file = std::string("libkinglet_") + name + ".so", symbol = std::string("kl_backend_module_") + name;
  std::string looked;
  for (const std::string& folder : folders()) {
    std::string path = folder;
    path.append("/").append(file);
    looked += (looked.empty() ? "" : ", ") + folder;
    if (!ByteSource::open(path, ByteSource::Access::map).ok()) continue;
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      const char* why = dlerror();
      return error(Code::not_found, "%s cannot be loaded: %s", path.c_str(), why != nullptr ? why : "no reason given");
    }
    void* function = dlsym(library, symbol.c_str());
    if (function == nullptr) return error(Code::unsupported, "%s has no %s", path.c_str(), symbol.c_str());
    GetModule get = nullptr;
    std::memcpy(&get, &function, sizeof get);  // an object pointer is no function pointer to C++
    return checked(get(), path);
  }
  return error(Code::not_found, "there is no %s in %s", file.c_str(), looked.c_str());
}

}  // namespace

Result<const BackendModule*> backend_module(const char* name) {
  static std::mutex mutex;
  static std::map<std::string, const BackendModule*> loaded;
  const std::lock_guard lock(mutex);
  if (const auto at = loaded.find(name); at != loaded.end()) return at->second;
  KL_ASSIGN(const BackendModule* module, load(name));
  loaded.emplace(name, module);
  return module;
}

}  // namespace kl
