// linear for few rows, float32 inputs, every weight format (linear_row.cuh).
#include "cuda/kernels/linear_row.cuh"

namespace kl::cuda {

#define KL_FORMAT(F) \
  KL_KERNEL_AHEAD(linear_row_f32__##F, LinearRowArgs, kLinearRowThreads, 1) { linear_row<Format::F, RowMath::floats>(a); }
KL_WEIGHT_FORMATS(KL_FORMAT)
#undef KL_FORMAT

}  // namespace kl::cuda
