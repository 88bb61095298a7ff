// Kernels for AVX-512 F, BW, VL, DQ, VNNI.
#include "cpu/isa/tables.h"
#ifdef __x86_64__
#include "cpu/dot_i8_avx512.h"
#include "cpu/isa/table.h"

namespace kl::cpu {

const CpuKernels& kernels_avx512() {
  static constexpr CpuKernels kTable = make_kernels<Avx512, DotAvx512>("avx512");
  return kTable;
}

}  // namespace kl::cpu
#endif
