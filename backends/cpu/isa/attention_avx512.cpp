// Attention, rope and cache writing for AVX-512.
#include "cpu/isa/attention_kernels.h"
#ifdef __x86_64__
#include "cpu/isa/attention_table.h"
#include "cpu/simd/avx512.h"
#endif

namespace kl::cpu {

const CpuAttentionKernels* attention_kernels_avx512() {
#ifdef __x86_64__
  static constexpr CpuAttentionKernels kTable = make_attention_kernels<Avx512>("avx512");
  return &kTable;
#else
  return nullptr;
#endif
}

}  // namespace kl::cpu
