// select_rows: y[o] = x[selected[o]].                                                                             x [T M] -> y [O M]
// Grid (ceil(M / 256), O).
#include "cuda/kernels/select_rows.h"

#include "cuda/common/kernel.cuh"

namespace kl::cuda {

KL_KERNEL(select_rows, SelectRowsArgs, kSelectRowsThreads) {
  const uint32_t o = blockIdx.y, i = blockIdx.x * kSelectRowsThreads + threadIdx.x;
  if (o >= live_rows(a.outputs) || i >= a.width) return;
  a.y[static_cast<uint64_t>(o) * a.width + i] = a.x[static_cast<uint64_t>(a.selected[o]) * a.width + i];
}

}  // namespace kl::cuda
