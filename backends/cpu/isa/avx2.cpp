// Kernels for AVX2, FMA, F16C.
#include "cpu/isa/tables.h"
#ifdef __x86_64__
#include "cpu/dot_i8_avx2.h"
#include "cpu/isa/table.h"

namespace kl::cpu {

const CpuKernels& kernels_avx2() {
  static constexpr CpuKernels kTable = make_kernels<Avx2, DotAvx2>("avx2");
  return kTable;
}

}  // namespace kl::cpu
#endif
