#include "cuda/driver.h"

#include <dlfcn.h>

#include <cstring>
#include <mutex>

namespace kl::cuda {
namespace {

constexpr int kOldestDriver = 12000;  // CUDA 12: what the kernels' binaries ask for

Result<const Driver*> load() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);  // never closed: a driver does not survive that
  if (library == nullptr) return error(Code::not_found, "this machine has no CUDA driver (libcuda.so.1)");
  static Driver driver;
  const char* missing = nullptr;
  const auto find = [&](auto& member, const char* symbol) {
    void* function = dlsym(library, symbol);
    if (function == nullptr) missing = symbol;
    std::memcpy(&member, &function, sizeof function);  // an object pointer is no function pointer to C++
  };
#define KL_FIND(MEMBER, SYMBOL, PARAMETERS) find(driver.MEMBER, SYMBOL);
  KL_CUDA_FUNCTIONS(KL_FIND)
#undef KL_FIND
  const char* const needed = missing;
#define KL_FIND(MEMBER, SYMBOL, PARAMETERS) find(driver.MEMBER, SYMBOL);
  KL_CUDA_NEWER_FUNCTIONS(KL_FIND)
#undef KL_FIND
  missing = needed;
  if (missing != nullptr) return error(Code::not_found, "the CUDA driver is too old: it lacks %s", missing);
  if (const int code = driver.init(0); code != kCudaSuccess)
    return error(Code::not_found, "the CUDA driver does not start (%s)", error_name(driver, code));
  int version = 0;
  if (driver.driver_version(&version) != kCudaSuccess || version < kOldestDriver)
    return error(Code::not_found, "the CUDA driver is for CUDA %d.%d, at least %d.%d is needed", version / 1000, version / 10 % 100,
                 kOldestDriver / 1000, kOldestDriver / 10 % 100);
  return &driver;
}

}  // namespace

Result<const Driver*> machine_driver() {
  static std::mutex mutex;
  static const Driver* loaded = nullptr;
  const std::lock_guard lock(mutex);
  if (loaded == nullptr) {
    KL_ASSIGN(loaded, load());
  }
  return loaded;
}

const char* error_name(const Driver& driver, int code) {
  const char* name = nullptr;
  return driver.error_name(code, &name) == kCudaSuccess && name != nullptr ? name : "an unknown error";
}

}  // namespace kl::cuda
