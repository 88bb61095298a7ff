// linear for few rows, float32 inputs, every weight format (linear_row.cuh).
#include "cuda/kernels/linear_row.cuh"

namespace kl::cuda {

#define KL_FORMAT(F) \
  KL_KERNEL(linear_row_f32__##F, LinearRowArgs, kLinearRowThreads) { linear_row<Format::F, false>(a); }
KL_WEIGHT_FORMATS(KL_FORMAT)
#undef KL_FORMAT

}  // namespace kl::cuda
