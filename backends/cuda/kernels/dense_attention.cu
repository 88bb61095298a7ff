// dense_attention: out = softmax(scale q k') v over the rows of the row's own range; zeros for an empty one.                   q, k, v [T H*D] -> out [T H*D]
// A block takes one head of up to 8 neighbouring rows; those of one range share what is read. Exact float32: no tensor cores, so a result has the reference's own distance.
// Order: common/attention.cuh; spans count from the range's first row, so a result does not depend on where in the step the range lies; scores: dimensions ascend by fma.
// Grid (H, ceil(rows / queries)). Bytes: K and V of a range once per 8 rows, from cache. Bound: float32 arithmetic, 4 D FLOPs a row and key.
#include "cuda/common/attention.cuh"

namespace kl::cuda {

namespace {

struct DenseKeys {
  const float* k;  // the head's first dimension of the range's first row
  const float* v;
  SharedPointer<float> query;
  uint32_t width, size, end;

  KL_DEVICE void score(uint32_t position, uint32_t n, float (&s)[kAttentionQueries]) const {
    const float* row = k + static_cast<uint64_t>(position) * width;
    const uint32_t fours = size / 4;
    for (uint32_t i = 0; i < fours; ++i) {
      const uint4 bits = load_16(row + 4 * i);
      const float k4[4] = {__uint_as_float(bits.x), __uint_as_float(bits.y), __uint_as_float(bits.z), __uint_as_float(bits.w)};
      KL_UNROLL
      for (uint32_t q = 0; q < kAttentionQueries; ++q) {
        if (q >= n) break;
        const float4 x = shared_as<float4>(query)[q * fours + i];
        s[q] = fma_of(x.w, k4[3], fma_of(x.z, k4[2], fma_of(x.y, k4[1], fma_of(x.x, k4[0], s[q]))));
      }
    }
  }
  KL_DEVICE uint32_t chunks() const { return (size + kChunk - 1) / kChunk; }
  KL_DEVICE uint32_t dimension(uint32_t chunk, uint32_t lane, uint32_t e) const { return chunk * kChunk + 2 * lane + e; }
  KL_DEVICE void values(uint32_t position, uint32_t chunk, uint32_t lane, float (&out)[4][2]) const {
    const uint32_t d = dimension(chunk, lane, 0);
    KL_UNROLL
    for (uint32_t j = 0; j < 4; ++j) {
      uint2 two = make_uint2(0, 0);
      if (d < size && position + j < end) two = load_8(v + static_cast<uint64_t>(position + j) * width + d);
      out[j][0] = __uint_as_float(two.x);
      out[j][1] = __uint_as_float(two.y);
    }
  }
};

}  // namespace

KL_KERNEL(dense_attention, DenseAttentionArgs, kAttentionThreads) {
  KL_ATTENTION_SHARED(s);
  const uint32_t thread = threadIdx.x, size = a.head_size, rows = a.queries, h = blockIdx.x, live = live_rows(a.rows);
  const uint32_t t0 = blockIdx.y * rows, t1 = t0 + rows < live ? t0 + rows : live, width = a.heads * size;
  if (t0 >= live) return;
  for (uint32_t from = t0; from < t1;) {
    const uint32_t begin = a.row_range[2 * from], range_end = a.row_range[2 * from + 1], end = range_end < live ? range_end : live;
    uint32_t to = from + 1;
    while (to < t1 && a.row_range[2 * to] == begin && a.row_range[2 * to + 1] == range_end) ++to;
    const uint32_t n = to - from, count = end > begin ? end - begin : 0;
    const auto place = [&](uint32_t at) { return static_cast<uint64_t>(from + at / size) * width + h * size + at % size; };
    for (uint32_t at = thread; at < n * size; at += kSpan) {
      s.query[at] = a.q[place(at)];
      s.out[at] = 0.0f;
    }
    if (thread < n) {
      s.seen[2 * thread] = 0;
      s.seen[2 * thread + 1] = count;
      s.state[thread] = kNothing;
      s.state[kAttentionQueries + thread] = 0.0f;
    }
    __syncthreads();
    const uint64_t origin = static_cast<uint64_t>(begin) * width + h * size;
    const DenseKeys keys{a.k + origin, a.v + origin, s.query, width, size, count};
    for (uint32_t span = 0; span * kSpan < count; ++span)
      attend_span(s, keys, n, span, Seen{0, count}, size, a.scale, 0.0f,
                  [&](uint32_t i, uint32_t d, float v) { add_to_out(s, i, d, v, size); });
    for (uint32_t at = thread; at < n * size; at += kSpan) {
      const float sum = s.state[kAttentionQueries + at / size], out = s.out[at];
      a.y[place(at)] = sum > 0.0f ? out / sum : 0.0f;
    }
    __syncthreads();
    from = to;
  }
}

}  // namespace kl::cuda
