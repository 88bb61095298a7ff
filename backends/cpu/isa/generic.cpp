// Kernels for any processor.
#include "cpu/dot_i8_generic.h"
#include "cpu/isa/table.h"
#include "cpu/isa/tables.h"

namespace kl::cpu {

const CpuKernels& kernels_generic() {
  static constexpr CpuKernels kTable = make_kernels<Generic, DotGeneric>("generic");
  return kTable;
}

}  // namespace kl::cpu
