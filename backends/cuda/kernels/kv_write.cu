// kv_write: each row's k and v into its page in the cache's format; before that, where the arguments say so, what stands between the q, k, v products and the cache:
// RMS norm of each head of q and k, and rope.                                                                q [T H*D]  k, v [T G*D] -> q' [T H*D], pages
// A warp takes a head of a row (common/kv_write.cuh, with the order of sums).
// Grid (ceil((H + 2 G) / 4), T). Bytes: q, k, v once each way. Bound: launch latency.
#include "cuda/common/kv_write.cuh"

namespace kl::cuda {

namespace {

template <KvFormat F>
KL_DEVICE void kv_write_body(const KvWriteArgs& a) {
  KL_SHARED(float, heads, kKvWriteWarps* kMaxHead);
  const uint32_t t = blockIdx.y, warp = threadIdx.x / 32, item = blockIdx.x * kKvWriteWarps + warp;
  if (t >= live_rows(a.rows) || item >= a.heads + 2 * a.kv_heads) return;
  const SharedPointer<float> x = heads + warp * kMaxHead;
  if (take_head(a, t, item, x, threadIdx.x % 32)) store_head<F>(a, t, item, x, threadIdx.x % 32);
}

}  // namespace

KL_KERNEL(kv_write__f32, KvWriteArgs, kKvWriteThreads) { kv_write_body<KvFormat::f32>(a); }
KL_KERNEL(kv_write__f16, KvWriteArgs, kKvWriteThreads) { kv_write_body<KvFormat::f16>(a); }
KL_KERNEL(kv_write__q8, KvWriteArgs, kKvWriteThreads) { kv_write_body<KvFormat::q8>(a); }
KL_KERNEL(kv_write__q4, KvWriteArgs, kKvWriteThreads) { kv_write_body<KvFormat::q4>(a); }

}  // namespace kl::cuda
