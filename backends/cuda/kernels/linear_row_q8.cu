// linear for few rows, 8-bit inputs, the quantized weight formats: integer dot products (linear_row.cuh).
// On sm_86 and sm_89 a pair of words is one too many for the 64 registers that let 1,024 threads live on a multiprocessor:
// spills: linear_row_q8__q8_0 at most 8 bytes
#include "cuda/kernels/linear_row.cuh"

namespace kl::cuda {

#define KL_FORMAT(F)                                                                                \
  KL_KERNEL_AHEAD(linear_row_q8__##F, LinearRowArgs, kLinearRowThreads, 1024 / kLinearRowThreads) { \
    linear_row<Format::F, RowMath::dots>(a);                                                        \
  }
KL_QUANTIZED_FORMATS(KL_FORMAT)
#undef KL_FORMAT

}  // namespace kl::cuda
