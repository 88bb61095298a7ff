// linear for few rows, 8-bit inputs, the quantized weight formats: integer dot products (linear_row.cuh).
#include "cuda/kernels/linear_row.cuh"

namespace kl::cuda {

#define KL_FORMAT(F) \
  KL_KERNEL(linear_row_q8__##F, LinearRowArgs, kLinearRowThreads) { linear_row<Format::F, true>(a); }
KL_FORMAT(q8_0)
KL_FORMAT(q4_0)
KL_FORMAT(q4_1)
KL_FORMAT(q5_0)
KL_FORMAT(q5_1)
KL_FORMAT(q4_k)
KL_FORMAT(q5_k)
KL_FORMAT(q6_k)
KL_FORMAT(iq4_nl)
KL_FORMAT(mxfp4)
#undef KL_FORMAT

}  // namespace kl::cuda
