// linear for many rows on tensor cores, 8-bit inputs (linear_many.cuh).
#include "cuda/kernels/linear_many.cuh"

namespace kl::cuda {

#define KL_FORMAT(F) \
  KL_KERNEL(linear_many_q8__##F, LinearArgs, kLinearManyThreads) { linear_many<Format::F, Inputs::bytes>(a); }
KL_QUANTIZED_FORMATS(KL_FORMAT)
#undef KL_FORMAT

}  // namespace kl::cuda
