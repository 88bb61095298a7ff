// linear for some rows on tensor cores, 8-bit inputs (linear_few.cuh).
#include "cuda/kernels/linear_few.cuh"

namespace kl::cuda {

#define KL_FORMAT(F) \
  KL_KERNEL_BLOCKS(linear_few_q8__##F, LinearArgs, kLinearFewThreads, 2) { linear_few<Format::F, Inputs::bytes>(a); }
KL_QUANTIZED_FORMATS(KL_FORMAT)
#undef KL_FORMAT

}  // namespace kl::cuda
