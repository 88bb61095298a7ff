// The CUDA device: NVIDIA GPUs.
#pragma once
#include "backend/module.h"
#include "cuda/driver.h"

namespace kl::cuda {

struct CudaOptions {
  uint32_t device = 0;             // index among the devices that can run us
  const Driver* driver = nullptr;  // tests: another driver than the machine's
};

// Errors: not_found (no driver, no such device), out_of_memory, device_lost.
Result<std::unique_ptr<Device>> open_cuda(const CudaOptions& options);
// The strongest first. driver: null for the machine's.
Result<std::vector<BackendDevice>> list_cuda(const Driver* driver = nullptr);

}  // namespace kl::cuda

// The module's exported function (backend/module.h).
extern "C" const kl::BackendModule* kl_backend_module_cuda();
