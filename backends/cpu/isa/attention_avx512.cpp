// Attention, rope and cache writing for AVX-512.
#include "cpu/isa/attention_kernels.h"
#ifdef __x86_64__
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12: false alarms inside its own intrinsics (_mm512_undefined_ps)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
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
