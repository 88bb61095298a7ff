// linear for many rows on tensor cores, 8-bit inputs (linear_many.cuh).
#include "cuda/kernels/linear_many.cuh"

namespace kl::cuda {

#define KL_FORMAT(F) \
  KL_KERNEL(linear_many_q8__##F, LinearArgs, kLinearManyThreads) { linear_many<Format::F, Inputs::bytes>(a); }
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
