// Attention, rope and cache writing for AVX2, FMA, F16C.
#include "cpu/isa/attention_kernels.h"
#ifdef __x86_64__
#include "cpu/isa/attention_table.h"
#include "cpu/simd/avx2.h"
#endif

namespace kl::cpu {

const CpuAttentionKernels* attention_kernels_avx2() {
#ifdef __x86_64__
  static constexpr CpuAttentionKernels kTable = make_attention_kernels<Avx2>("avx2");
  return &kTable;
#else
  return nullptr;
#endif
}

}  // namespace kl::cpu
