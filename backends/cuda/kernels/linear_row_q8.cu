// linear for few rows, 8-bit inputs, the quantized weight formats: integer dot products (linear_row.cuh).
#include "cuda/kernels/linear_row.cuh"

namespace kl::cuda {

#define KL_FORMAT(F) \
  KL_KERNEL(linear_row_q8__##F, LinearRowArgs, kLinearRowThreads) { linear_row<Format::F, true>(a); }
KL_QUANTIZED_FORMATS(KL_FORMAT)
#undef KL_FORMAT

}  // namespace kl::cuda
