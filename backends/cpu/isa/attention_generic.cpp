// Attention, rope and cache writing for any processor.
#include "cpu/isa/attention_kernels.h"
#include "cpu/isa/attention_table.h"
#include "cpu/simd/generic.h"

namespace kl::cpu {

const CpuAttentionKernels* attention_kernels_generic() {
  static constexpr CpuAttentionKernels kTable = make_attention_kernels<Generic>("generic");
  return &kTable;
}

}  // namespace kl::cpu
