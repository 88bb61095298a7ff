// linear for some rows on tensor cores, 16-bit inputs, which no other kernel but linear_many_f16 takes where it runs (linear_few.cuh).
#include "cuda/kernels/linear_few.cuh"

namespace kl::cuda {

#define KL_FORMAT(F) \
  KL_KERNEL(linear_few_f16__##F, LinearArgs, kLinearFewThreads) { linear_few<Format::F, Inputs::halves>(a); }
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
