// linear for up to 8 rows, 8-bit inputs, on tensor cores: the 8 rows are the N of one mma.sync (linear_row.cuh). One or two panels a block, 256 threads each, which share
// the inputs that the block prepares: with 8 rows these are 32 K bytes from L2 for the 9 K of a panel's 4-bit weights.
#include "cuda/kernels/linear_row.cuh"

namespace kl::cuda {

#define KL_FORMAT(F)                                                                                      \
  KL_KERNEL_AHEAD(linear_eight_q8__##F, LinearRowArgs, kLinearEightThreads, 1024 / kLinearEightThreads) { \
    linear_row<Format::F, RowMath::tensor>(a);                                                            \
  }
KL_QUANTIZED_FORMATS(KL_FORMAT)
#undef KL_FORMAT

}  // namespace kl::cuda
