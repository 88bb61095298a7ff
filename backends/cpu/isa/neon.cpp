// Kernels for ARMv8.2 with dot products.
#include "cpu/isa/tables.h"
#ifdef __aarch64__
#include "cpu/dot_i8_neon.h"
#include "cpu/isa/table.h"

namespace kl::cpu {

const CpuKernels& kernels_neon() {
  static constexpr CpuKernels kTable = make_kernels<Neon, DotNeon>("neon");
  return kTable;
}

}  // namespace kl::cpu
#endif
