// The CPU device, in two makes: "cpu" (SIMD kernels of the best instruction set) and "reference" (the scalar oracle).
#pragma once
#include "backend/device.h"
#include "cpu/isa/isa.h"

namespace kl::cpu {

struct CpuOptions {
  uint32_t threads = 0;    // team size with the caller; 0: one per core the process may use
  std::optional<Isa> isa;  // empty: the best available
  bool reference = false;  // the oracle instead of the SIMD kernels
};

// Errors: invalid_argument (more than 256 threads, an instruction set this machine lacks), out_of_memory.
Result<std::unique_ptr<Device>> open_cpu(const CpuOptions& options);

}  // namespace kl::cpu
