// q, k and v for few rows, down to the cache, in one launch: norm and rounding of the inputs, the three products, head norms, rope, k and v into their pages.
//                                                                       x [T M]  Wq [H*D M]  Wk, Wv [G*D M] -> q [T H*D], pages          T <= 8
// Products as in linear_row.cuh, panels of q, then of k, then of v. A head spans the blocks that hold its D outputs: the last of these blocks to be done with them
// (common/arrive.cuh) takes the head on, a warp a row, as kv_write.cu does (common/kv_write.cuh). Products go there through memory, by L2.
// The three may be of different formats (files mix them within a layer), so the format is looked at in the block: one kernel for all of them has the registers of the
// one that takes most.
// Grid      the panels of 16 outputs of q, k and v, one or two a block; blocks leave at once where there are no live rows.
// Bytes     as linear_row.cuh, and the products 12 bytes an output and row more. Bound: memory bandwidth. Not measured: there was no card.
#include "cuda/common/arrive.cuh"
#include "cuda/common/kv_write.cuh"
#include "cuda/kernels/linear_row.cuh"

namespace kl::cuda {

namespace {

template <RowMath M>
KL_DEVICE float panel_sum_of(const RowInputs& in, const QkvPart& p, uint32_t panel, const RowCount& rows, const RowShared& s) {
#define KL_FORMAT(F) \
  case Format::F:    \
    return panel_sum<Format::F, M>(in, p.w, panel, rows, 0, false, s);
  switch (p.format) {
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
    default:
      break;
  }
  if constexpr (M == RowMath::floats) {
    switch (p.format) {
      KL_FORMAT(f32)
      KL_FORMAT(f16)
      KL_FORMAT(bf16)
      default:
        break;
    }
  }
#undef KL_FORMAT
  wait_for_launches_before();
  return 0.0f;
}

KL_DEVICE void finish_head(const QkvRowArgs& a, uint32_t t, uint32_t item, SharedPointer<float> x, uint32_t lane) {
  if (!take_head(a.heads, t, item, x, lane)) return;
  if (a.kv == KvFormat::f32) store_head<KvFormat::f32>(a.heads, t, item, x, lane);
  if (a.kv == KvFormat::f16) store_head<KvFormat::f16>(a.heads, t, item, x, lane);
  if (a.kv == KvFormat::q8) store_head<KvFormat::q8>(a.heads, t, item, x, lane);
  if (a.kv == KvFormat::q4) store_head<KvFormat::q4>(a.heads, t, item, x, lane);
}

template <RowMath M>
KL_DEVICE void qkv_row(const QkvRowArgs& a) {
  KL_ROW_SHARED(s, a.in);
  KL_SHARED(uint32_t, last, 1);
  const uint32_t panels = blockDim.x / kLinearRowThreads, thread = threadIdx.x % kLinearRowThreads,
                 which = blockIdx.x >= a.parts[2].first_block   ? 2
                         : blockIdx.x >= a.parts[1].first_block ? 1
                                                                : 0;
  const QkvPart& p = a.parts[which];
  const uint32_t first_panel = (blockIdx.x - p.first_block) * panels, panel = first_panel + threadIdx.x / kLinearRowThreads,
                 n = panel * 16 + thread % 16;
  float sum = panel_sum_of<M>(a.in, p, panel, a.heads.rows, s);
  const uint32_t rows = rows_of_block(a.heads.rows, 0);
  if (rows == 0) return;
  if (thread < rows * 16 && n < p.w.n) {
    if (p.bias != nullptr) sum += p.bias[n];
    p.y[static_cast<uint64_t>(thread / 16) * p.w.n + n] = sum;
  }
  // The heads that this block has outputs of. Nothing reads the inputs in shared memory any more: a warp has a head there.
  const uint32_t size = a.heads.head_size, outputs = 16 * panels, begin = first_panel * 16,
                 end = begin + outputs < p.w.n ? begin + outputs : p.w.n, warp = threadIdx.x / 32;
  const uint32_t first = which == 0 ? 0 : which == 1 ? a.heads.heads : a.heads.heads + a.heads.kv_heads;
  for (uint32_t head = begin / size; head * size < end; ++head) {
    const uint32_t blocks = (head * size + size - 1) / outputs - head * size / outputs + 1;
    if (!last_to_arrive(a.counters + first + head, blocks, last)) continue;
    if (warp < rows) finish_head(a, warp, first + head, shared_as<float>(s.codes) + warp * size, threadIdx.x % 32);
  }
}

}  // namespace

KL_KERNEL_AHEAD(qkv_row__q8, QkvRowArgs, kLinearRowThreads, 1) { qkv_row<RowMath::dots>(a); }
KL_KERNEL_AHEAD(qkv_row__eight, QkvRowArgs, kLinearEightThreads, 1) { qkv_row<RowMath::tensor>(a); }
KL_KERNEL_AHEAD(qkv_row__f32, QkvRowArgs, kLinearRowThreads, 1) { qkv_row<RowMath::floats>(a); }

}  // namespace kl::cuda
