// linear for many rows on tensor cores, 16-bit inputs (linear_many.cuh).
// Of 255 registers 128 are sums, and the compiler keeps all weights of a tile as halves; with minima some words are too many, from sm_100 on.
// spills: linear_many_f16__q4_1 at most 76 bytes
// spills: linear_many_f16__q4_k at most 12 bytes
// spills: linear_many_f16__q5_1 at most 4 bytes
// spills: linear_many_f16__q5_k at most 12 bytes
#include "cuda/kernels/linear_many.cuh"

namespace kl::cuda {

#define KL_FORMAT(F) \
  KL_KERNEL(linear_many_f16__##F, LinearArgs, kLinearManyThreads) { linear_many<Format::F, Inputs::halves>(a); }
KL_QUANTIZED_FORMATS(KL_FORMAT)
#undef KL_FORMAT

}  // namespace kl::cuda
