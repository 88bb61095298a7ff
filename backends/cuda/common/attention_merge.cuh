// Where a row's spans of keys had a block each: what such a block leaves in memory, and how the last of them joins it.
#pragma once
#include "cuda/common/attention.cuh"

namespace kl::cuda {

// What a block of split spans leaves of query i, from `partial` on: its maximum, its sum, its weighted sum of V; a span of a query after the other.
struct Partials {
  float* first;
  uint64_t query;  // floats from a query to the next
  uint32_t span;   // ... from a span to the next

  KL_DEVICE float* at(uint32_t i, uint32_t span_index) const { return first + i * query + static_cast<uint64_t>(span_index) * span; }
};

// Joins the spans of the block's n queries in ascending order, then divides: s.out. The factors of up to 128 spans at a time come first, a thread a query; then a
// thread has up to 8 numbers of the result, so that as many loads are under way.
KL_DEVICE void merge_spans(const AttentionArgs& a, const AttentionShared& s, const Partials& p, uint32_t n, uint32_t heads, uint32_t h0,
                           uint32_t spans) {
  constexpr uint32_t kSpans = kSpan / 2, kNumbers = kQueryFloats / kSpan;
  const uint32_t thread = threadIdx.x, size = a.head_size;
  float most = kNothing, sum = 0.0f, out[kNumbers];
  if (thread < n && a.sinks != nullptr) most = a.sinks[h0 + thread % heads], sum = 1.0f;
  KL_UNROLL
  for (uint32_t j = 0; j < kNumbers; ++j) out[j] = 0.0f;
  for (uint32_t first = 0; first < spans; first += kSpans) {
    const uint32_t count = spans - first < kSpans ? spans - first : kSpans;
    __syncthreads();  // the factors before are read
    for (uint32_t i = 0; thread < n && i < count; ++i) {
      const float* of_span = p.at(thread, first + i);
      const Merged r = merge_span(most, sum, of_span[0], of_span[1]);
      s.weight[thread * kSpan + 2 * i] = r.keep;
      s.weight[thread * kSpan + 2 * i + 1] = r.take;
      most = r.most;
      sum = r.sum;
    }
    __syncthreads();
    for (uint32_t i = 0; i < count; ++i) {
      KL_UNROLL
      for (uint32_t j = 0; j < kNumbers; ++j) {
        const uint32_t at = thread + j * kSpan, q = at / size;
        if (at >= n * size) break;
        out[j] = fma_of(p.at(q, first + i)[2 + at % size], s.weight[q * kSpan + 2 * i + 1], out[j] * s.weight[q * kSpan + 2 * i]);
      }
    }
  }
  if (thread < n) s.state[thread] = sum;
  __syncthreads();
  KL_UNROLL
  for (uint32_t j = 0; j < kNumbers; ++j) {
    const uint32_t at = thread + j * kSpan;
    if (at < n * size) s.out[at] = out[j] / s.state[at / size];
  }
}

}  // namespace kl::cuda
