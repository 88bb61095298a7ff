// add: y = a + b. activate: y = act(a) * b, or act(a).                                                             a, b [R W] -> y [R W]
// Grid (ceil(W / 1024), R): four values a thread, 16 bytes at once where rows are made of them. Bound: memory bandwidth.
#include "cuda/kernels/elementwise.h"

#include "cuda/common/activate.cuh"

namespace kl::cuda {

namespace {

template <bool kAdd>
KL_DEVICE float combine(const ElementwiseArgs& a, float first, float second) {
  if constexpr (kAdd) return first + second;
  const float v = activate(a.activation, first);
  return a.b != nullptr ? v * second : v;
}

template <bool kAdd>
KL_DEVICE void elementwise_body(const ElementwiseArgs& a) {
  const uint32_t t = blockIdx.y, first = 4 * (blockIdx.x * kElementwiseThreads + threadIdx.x);
  if (t >= live_rows(a.rows) || first >= a.width) return;
  const uint64_t at = static_cast<uint64_t>(t) * a.width + first;
  if (a.width % 4 == 0) {
    const float4 x = *reinterpret_cast<const float4*>(a.a + at);
    float4 z = make_float4(0, 0, 0, 0);
    if (a.b != nullptr) z = *reinterpret_cast<const float4*>(a.b + at);
    *reinterpret_cast<float4*>(a.y + at) =
        make_float4(combine<kAdd>(a, x.x, z.x), combine<kAdd>(a, x.y, z.y), combine<kAdd>(a, x.z, z.z), combine<kAdd>(a, x.w, z.w));
    return;
  }
  for (uint32_t i = 0; i < 4 && first + i < a.width; ++i) a.y[at + i] = combine<kAdd>(a, a.a[at + i], a.b != nullptr ? a.b[at + i] : 0.0f);
}

}  // namespace

KL_KERNEL(elementwise__add, ElementwiseArgs, kElementwiseThreads) { elementwise_body<true>(a); }
KL_KERNEL(elementwise__activate, ElementwiseArgs, kElementwiseThreads) { elementwise_body<false>(a); }

}  // namespace kl::cuda
