// linear for some rows on tensor cores, 16-bit inputs, which no other kernel but linear_many_f16 takes where it runs (linear_few.cuh).
#include "cuda/kernels/linear_few.cuh"

namespace kl::cuda {

#define KL_FORMAT(F) \
  KL_KERNEL_BLOCKS(linear_few_f16__##F, LinearArgs, kLinearFewThreads, 2) { linear_few<Format::F, Inputs::halves>(a); }
KL_QUANTIZED_FORMATS(KL_FORMAT)
#undef KL_FORMAT

}  // namespace kl::cuda
