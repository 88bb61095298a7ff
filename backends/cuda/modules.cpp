#include "cuda/modules.h"

#include <algorithm>

namespace kl::cuda {
namespace {

// Dynamic shared memory that every launch may have: 48 KB less what kernels that ask for some have beside it (a few hundred bytes).
constexpr uint32_t kSharedUnasked = 47u << 10;

}  // namespace

Modules::~Modules() {
  if (context_->abandoned()) return;
  const Context::Use use(*context_);
  for (const auto& [name, module] : modules_) (void)context_->driver().module_unload(module);
}

Result<Function> Modules::get(const std::string& kernel, uint32_t shared_bytes) {
  const Driver& driver = context_->driver();
  Loaded& loaded = functions_[kernel];
  if (loaded.function == nullptr) {
    const std::string file = kernel.substr(0, kernel.find("__"));
    Module& module = modules_[file];
    if (module == nullptr) {
      const auto* const end = kEmbeddedKernels + kEmbeddedKernelCount;
      const auto* const at = std::find_if(kEmbeddedKernels, end, [&](const EmbeddedKernels& e) { return file == e.name; });
      if (at == end) return error(Code::internal, "this build has no kernels %s", file.c_str());
      KL_TRY(context_->check(driver.module_load(&module, at->code), "cuModuleLoadData"));
    }
    KL_TRY(context_->check(driver.module_function(&loaded.function, module, ("kl_" + kernel).c_str()),
                           ("cuModuleGetFunction(" + kernel + ")").c_str()));
  }
  if (shared_bytes > std::max(kSharedUnasked, loaded.shared_bytes)) {
    KL_TRY(context_->check(driver.function_set(loaded.function, kFunctionMaxDynamicShared, static_cast<int>(shared_bytes)),
                           "cuFuncSetAttribute"));
    loaded.shared_bytes = shared_bytes;
  }
  return loaded.function;
}

}  // namespace kl::cuda
