// linear for few rows, float32 inputs, every weight format (linear_row.cuh).
#include "cuda/kernels/linear_row.cuh"

namespace kl::cuda {

#define KL_FORMAT(F) \
  KL_KERNEL(linear_row_f32__##F, LinearRowArgs, kLinearRowThreads) { linear_row<Format::F, false>(a); }
KL_FORMAT(f32)
KL_FORMAT(f16)
KL_FORMAT(bf16)
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
