// Attention, rope and cache writing for 64-bit ARM.
#include "cpu/isa/attention_kernels.h"
#ifdef __aarch64__
#include "cpu/isa/attention_table.h"
#include "cpu/simd/neon.h"
#endif

namespace kl::cpu {

const CpuAttentionKernels* attention_kernels_neon() {
#ifdef __aarch64__
  static constexpr CpuAttentionKernels kTable = make_attention_kernels<Neon>("neon");
  return &kTable;
#else
  return nullptr;
#endif
}

}  // namespace kl::cpu
