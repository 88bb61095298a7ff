// linear for few rows, 8-bit inputs, the quantized weight formats: integer dot products (linear_row.cuh).
#include "cuda/kernels/linear_row.cuh"

namespace kl::cuda {

#define KL_FORMAT(F)                                                                                \
  KL_KERNEL_AHEAD(linear_row_q8__##F, LinearRowArgs, kLinearRowThreads, 1024 / kLinearRowThreads) { \
    linear_row<Format::F, RowMath::dots>(a);                                                        \
  }
KL_QUANTIZED_FORMATS(KL_FORMAT)
#undef KL_FORMAT

}  // namespace kl::cuda
