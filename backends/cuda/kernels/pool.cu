// pool: `count` neighbouring rows become one, side by side or their mean; U = T / count.                    x [T M] -> y [U count*M] or [U M]
// Order of a mean: rows in ascending order, then the division. Grid (ceil(width of y / 256), U). Bound: memory bandwidth.
#include "cuda/kernels/pool.h"

#include "cuda/common/kernel.cuh"

namespace kl::cuda {

KL_KERNEL(pool, PoolArgs, kPoolThreads) {
  const uint32_t u = blockIdx.y, i = blockIdx.x * kPoolThreads + threadIdx.x, width = a.mean ? a.width : a.width * a.count;
  if (u >= live_rows(a.rows) || i >= width) return;
  const uint64_t to = static_cast<uint64_t>(u) * width + i;
  if (!a.mean) {  // rows lie behind one another: side by side is where they are
    a.y[to] = a.x[to];
    return;
  }
  const float* x = a.x + static_cast<uint64_t>(u) * a.count * a.width + i;
  float sum = 0.0f;
  for (uint32_t r = 0; r < a.count; ++r) sum = sum + x[static_cast<uint64_t>(r) * a.width];
  a.y[to] = sum / static_cast<float>(a.count);
}

}  // namespace kl::cuda
